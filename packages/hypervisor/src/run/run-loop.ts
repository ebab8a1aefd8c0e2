/**
 * The run queue of one thread: vCPUs with something to do take turns until none has.
 *
 * Kicks made while the queue is being pumped are served by the same pump; the first kick on an idle machine schedules
 * one. Nothing is scheduled while everybody sleeps.
 */
import { asapScheduler, type SchedulerLike } from 'rxjs';

export interface Runnable {
  /** Owned by the run loop: waiting for its turn. */
  queued: boolean;
  /** One turn; true when there is more to do. */
  runTurn(): boolean;
}

/** Turns, and milliseconds, after which timers and I/O of the process get their turn. */
const TURNS_BUDGET = 4096;
const TIME_BUDGET = 4;
/** Pumps started as microtasks in a row; work that kicks from promises would starve timers otherwise. */
const MICROTASK_PUMPS = 32;

export class RunLoop {
  #queue: Runnable[] = [];
  #head = 0;
  #scheduled = false;
  #pumping = false;
  #stopped = false;
  #microtaskPumps = 0;
  #idleWaiters: (() => void)[] = [];

  /**
   * @param scheduler where pumps run; by default soon after the kick, yielding to timers now and then.
   * @param attend called every few turns and when the queue has run empty: events of other threads are looked for.
   * @param pumped called at the end of each pump: no runnable has its turn any more.
   */
  constructor(
    private readonly scheduler: SchedulerLike | undefined,
    private readonly attend: () => void = () => {},
    private readonly pumped: () => void = () => {},
  ) {}

  enqueue(runnable: Runnable): void {
    if (runnable.queued || this.#stopped) return;
    runnable.queued = true;
    this.#queue.push(runnable);
    if (!this.#pumping && !this.#scheduled) this.#schedule();
  }

  /** Resolves when nobody has work queued. */
  idle(): Promise<void> {
    if (this.#queue.length === 0 && !this.#pumping) return Promise.resolve();
    return new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  get isIdle(): boolean {
    return this.#queue.length === 0 && !this.#pumping;
  }

  stop(): void {
    this.#stopped = true;
    this.#queue = [];
    this.#head = 0;
    this.#wakeIdleWaiters();
  }

  #schedule(): void {
    this.#scheduled = true;
    if (this.scheduler !== undefined) {
      this.scheduler.schedule(() => this.#pump(false));
    } else if (this.#microtaskPumps < MICROTASK_PUMPS) {
      this.#microtaskPumps++;
      asapScheduler.schedule(() => this.#pump(true));
    } else {
      setImmediate(() => {
        this.#microtaskPumps = 0;
        this.#pump(true);
      });
    }
  }

  #pump(limitTime: boolean): void {
    this.#scheduled = false;
    if (this.#stopped) return;
    this.#pumping = true;
    const until = limitTime ? performance.now() + TIME_BUDGET : 0;
    try {
      for (let turns = 0; this.#head < this.#queue.length; turns++) {
        if (turns >= TURNS_BUDGET) break;
        if ((turns & 15) === 15) {
          if (limitTime && performance.now() > until) break;
          this.attend();
        }
        this.#turn();
      }
    } finally {
      this.#pumping = false;
      this.pumped();
    }
    if (this.#head < this.#queue.length) {
      this.#microtaskPumps = MICROTASK_PUMPS;
      if (!this.#scheduled) this.#schedule();
      return;
    }
    this.#queue.length = 0;
    this.#head = 0;
    this.attend();
    if (this.isIdle) this.#wakeIdleWaiters();
  }

  #turn(): void {
    const runnable = this.#queue[this.#head++] as Runnable;
    runnable.queued = false;
    if (this.#head > 1024) {
      this.#queue.splice(0, this.#head);
      this.#head = 0;
    }
    if (runnable.runTurn() && !runnable.queued && !this.#stopped) {
      runnable.queued = true;
      this.#queue.push(runnable);
    }
  }

  #wakeIdleWaiters(): void {
    if (this.#idleWaiters.length === 0) return;
    const waiters = this.#idleWaiters;
    this.#idleWaiters = [];
    for (const wake of waiters) wake();
  }
}
