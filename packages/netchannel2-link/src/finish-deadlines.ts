import type { SchedulerLike, Subscription } from 'rxjs';
import { SWEEPS_PER_SECOND } from './packet-ids';

/**
 * Looks after packets the peer does not finish in time. Its timer runs while packets are unfinished and ends by itself at
 * the first look that finds none, so that traffic neither starts nor cancels timers and an idle device has none.
 */
export class FinishDeadlines {
  running = false;
  private timer: Subscription | undefined;

  /** @param sweep one look; answers whether to look again. */
  constructor(
    private readonly scheduler: SchedulerLike,
    private readonly sweep: () => boolean,
  ) {}

  /** Packets are unfinished; called only when not {@link running}. */
  start(): void {
    this.running = true;
    this.timer = this.scheduler.schedule(() => {
      this.running = false;
      if (this.sweep()) this.start();
    }, 1000 / SWEEPS_PER_SECOND);
  }

  end(): void {
    this.timer?.unsubscribe();
    this.timer = undefined;
    this.running = false;
  }
}
