import type { RateLimit } from '@netchannel2/netif';

/** Most bytes that may be saved up over quiet windows, unless one window allows more. */
const BURST_MAX = 131072;

/**
 * What a guest may still send in the current window (spec vif.md §7). Pure: time is passed in, in microseconds.
 */
export class RateCredit {
  private remaining: number;
  private windowStart: number;

  constructor(
    private readonly limit: RateLimit,
    now: number,
  ) {
    this.remaining = limit.bytes;
    this.windowStart = now;
  }

  /**
   * Pays for a packet of `bytes`.
   *
   * @returns 0 when it may pass, otherwise the microseconds until credit comes and the packet is to be tried again.
   */
  take(bytes: number, now: number): number {
    if (bytes > this.remaining) {
      const next = this.windowStart + this.limit.microseconds;
      if (now >= next) {
        this.windowStart = now;
        this.remaining = Math.min(this.remaining + this.limit.bytes, Math.max(BURST_MAX, this.limit.bytes));
      }
      if (bytes > this.remaining) return Math.max(1, this.windowStart + this.limit.microseconds - now);
    }
    this.remaining -= bytes;
    return 0;
  }
}
