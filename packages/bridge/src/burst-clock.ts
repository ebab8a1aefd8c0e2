import { asyncScheduler, type SchedulerLike } from 'rxjs';

/**
 * The time, looked up once for all frames that come in one go: asking the real clock takes as long as the bridge's own work
 * for a frame. A clock of any other scheduler is asked each time, for its time may move within one go.
 */
export class BurstClock {
  private time = 0;
  private known = false;
  private readonly real: boolean;

  constructor(private readonly scheduler: SchedulerLike) {
    this.real = scheduler === asyncScheduler;
  }

  /** Milliseconds, at most as old as the present turn of the event loop. */
  now(): number {
    if (this.known) return this.time;
    const time = this.scheduler.now();
    if (!this.real) return time;
    this.time = time;
    this.known = true;
    queueMicrotask(this.forget);
    return time;
  }

  private readonly forget = (): void => {
    this.known = false;
  };
}
