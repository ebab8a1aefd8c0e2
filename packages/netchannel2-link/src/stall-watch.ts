import type { SchedulerLike, Subscription } from 'rxjs';

/** A sender out of credit or room this long, without one FINISH, counts as stalled (spec §7). */
const STALL_MILLISECONDS = 10_000;

/**
 * Notices a peer that finishes nothing. Runs a timer only while frames are held back, so an idle device has none.
 */
export class StallWatch {
  stalled = false;

  private timer: Subscription | undefined;
  private finishesSeen = 0;
  private finishes = 0;
  private waiting = false;

  constructor(
    private readonly scheduler: SchedulerLike,
    private readonly report: (stalled: boolean) => void,
  ) {}

  /** A frame was refused although the link is up. */
  held(): void {
    this.waiting = true;
    if (this.timer === undefined) this.start();
  }

  /** There is room again. */
  moving(): void {
    this.waiting = false;
  }

  /** FINISHes arrived. */
  progress(count: number): void {
    this.finishes = (this.finishes + count) | 0;
    if (!this.stalled) return;
    this.stalled = false;
    this.report(false);
  }

  /** Known to be stalled, whatever the timer would say. */
  stall(): void {
    if (this.stalled) return;
    this.stalled = true;
    this.report(true);
  }

  end(): void {
    this.timer?.unsubscribe();
    this.timer = undefined;
  }

  private start(): void {
    this.finishesSeen = this.finishes;
    this.timer = this.scheduler.schedule(() => this.check(), STALL_MILLISECONDS);
  }

  private check(): void {
    this.timer = undefined;
    if (!this.waiting) return;
    if (this.finishes === this.finishesSeen) this.stall();
    this.start();
  }
}
