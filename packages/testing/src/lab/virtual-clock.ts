import { VirtualAction, VirtualTimeScheduler } from 'rxjs';

/** Rounds of settling after which something must be going in circles. */
const MOST_ROUNDS = 100_000;

/**
 * Time that stands still until a test moves it. Everything that waits is given this scheduler, so a test of a ten-second
 * timeout takes no time at all, and two runs with the same seed do the same things in the same order.
 */
export class VirtualClock extends VirtualTimeScheduler {
  constructor() {
    super(VirtualAction, 0);
  }

  /** Whether something is due now. */
  get isDue(): boolean {
    const next = this.actions[0];
    return next !== undefined && next.delay <= this.frame;
  }

  /** Actions that wait for a later time: timers somebody has set and not cancelled. */
  get timers(): number {
    return this.actions.filter((action) => !action.closed && action.delay > this.frame).length;
  }

  /** Runs all that is due now and all that follows from it, promises included. Time does not move. */
  async settle(): Promise<void> {
    for (let round = 0; round < MOST_ROUNDS; round += 1) {
      await drainPromises();
      if (!this.isDue) return;
      this.runUntil(this.frame);
    }
    throw new Error('nothing came to rest: two ends keep waking each other without end');
  }

  /** Moves time on, stopping at each timer in between; settles before and after each. @param milliseconds at least 0. */
  async advance(milliseconds: number): Promise<void> {
    const end = this.frame + milliseconds;
    await this.settle();
    for (let next = this.actions[0]; next !== undefined && next.delay <= end; next = this.actions[0]) {
      this.runUntil(next.delay);
      await this.settle();
    }
    this.frame = end;
  }

  /** Moves time on, timer by timer, until `work` is done. @throws Error when no timer is left that could have it go on. */
  async during<Result>(work: Promise<Result>): Promise<Result> {
    let over = false;
    const end = () => {
      over = true;
    };
    work.then(end, end);
    for (;;) {
      await this.settle();
      if (over) return work;
      const next = this.actions[0];
      if (next === undefined) throw new Error('nothing is left to wait for, and still the work is not done');
      this.runUntil(next.delay);
    }
  }

  private runUntil(frame: number): void {
    this.maxFrames = frame;
    this.flush();
  }
}

/** A task of the event loop runs when no promise has anything left to do. */
const drainPromises = () => new Promise<void>((resolve) => setImmediate(resolve));
