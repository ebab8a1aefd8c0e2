import type { SchedulerLike, Subscription } from 'rxjs';

/** Milliseconds a packet waits for buffers: of a guest that says when it posts some, and of one that has to be asked (spec vif.md §3). */
export const EXPIRY_NOTIFIED = 10_000;
export const EXPIRY_POLLED = 30;
/** Milliseconds without buffers after which a guest that would say so counts as stalled. */
export const STALL_TIME = 60_000;
/** Milliseconds between looks at a guest that does not say when it posts buffers. */
const POLL_INTERVAL = 30;
/** Milliseconds a guest may be short of buffers without a timer of its own: under load it is so after every burst. */
const PROBE_INTERVAL = 30;

/** What is to be done while a guest posts no buffers. */
export interface PatienceOwner {
  /** When the packet that waits longest began to, `undefined` when none waits. */
  readonly oldest: number | undefined;
  /** Gives up packets that have waited since `deadline` or longer. */
  expire(deadline: number): void;
  /** Looks whether there are buffers now. */
  look(): void;
  /** The guest has stalled. */
  stalled(): void;
}

/**
 * Times how long a guest lets its packets wait. A timer is set only when one waits or might stall; under load that is one
 * each {@link PROBE_INTERVAL} and not one a burst.
 */
export class GuestPatience {
  isStalled = false;
  private since: number | undefined;
  private timer: Subscription | undefined;
  private isLong = false;

  constructor(
    private readonly scheduler: SchedulerLike,
    /** Whether the guest notifies when it posts buffers. */
    private readonly notifies: boolean,
    private readonly owner: PatienceOwner,
  ) {}

  /** The guest has too few buffers posted. */
  begin(): void {
    this.since ??= this.scheduler.now();
    if (this.timer === undefined) this.schedule(this.notifies ? PROBE_INTERVAL : POLL_INTERVAL);
  }

  /** The guest posted some, if not enough. */
  renew(): void {
    if (this.since !== undefined) this.since = this.scheduler.now();
  }

  /** The guest has buffers again. A short timer runs out by itself. */
  end(): void {
    this.since = undefined;
    this.isStalled = false;
    if (this.isLong) this.cancel();
  }

  close(): void {
    this.end();
    this.cancel();
  }

  private cancel(): void {
    this.timer?.unsubscribe();
    this.timer = undefined;
    this.isLong = false;
  }

  private schedule(delay: number | undefined): void {
    if (delay === undefined) return;
    this.isLong = delay > PROBE_INTERVAL;
    this.timer = this.scheduler.schedule(() => {
      this.timer = undefined;
      this.isLong = false;
      this.due();
    }, delay);
  }

  private untilNext(): number | undefined {
    const now = this.scheduler.now();
    const { oldest } = this.owner;
    const expiry = oldest === undefined ? undefined : oldest + EXPIRY_NOTIFIED - now;
    const stall = this.isStalled || this.since === undefined ? undefined : this.since + STALL_TIME - now;
    if (expiry === undefined || stall === undefined) return expiry ?? stall;
    return Math.max(0, Math.min(expiry, stall));
  }

  private due(): void {
    if (this.since === undefined) return;
    this.owner.look();
    if (this.since === undefined) return;
    const now = this.scheduler.now();
    this.owner.expire(now - (this.notifies ? EXPIRY_NOTIFIED : EXPIRY_POLLED));
    if (this.notifies && !this.isStalled && now - this.since >= STALL_TIME) {
      this.isStalled = true;
      this.owner.stalled();
    }
    // There is nothing to ask a guest for that no packet waits for.
    if (!this.notifies && this.owner.oldest === undefined) this.end();
    else if (this.timer === undefined) this.schedule(this.notifies ? this.untilNext() : POLL_INTERVAL);
  }
}
