import type { DomainId } from '@netchannel2/xen';
import type { SchedulerLike } from 'rxjs';

/** Packets in a row that a live sender's grants did not give the peer: forwarding to it pauses (spec §8.3). */
const MOST_FAILURES = 3;
/** Milliseconds the pause lasts. */
const PAUSE = 10_000;
/** Senders whose packets wait for the peer at the same time; those of further ones are copied. */
const MOST_OWNERS = 16;

/**
 * Whether further packets of third domains may wait for this peer in their sender's grants. One sender may have half of
 * the peer's credit parked, so that no receiver can use up a sender's whole credit; and a peer that cannot copy through
 * transitive grants gets copies for a while.
 */
export class ForwardingCredit {
  private readonly owners = new Int32Array(MOST_OWNERS);
  private readonly counts = new Int32Array(MOST_OWNERS);
  private readonly most: number;
  private used = 0;
  private failures = 0;
  private pausedUntil = Number.NEGATIVE_INFINITY;

  /** @param credit unfinished packets the peer allows. */
  constructor(
    private readonly scheduler: SchedulerLike,
    credit: number,
  ) {
    this.most = Math.max(1, credit >> 1);
  }

  allows(owner: DomainId): boolean {
    if (this.failures >= MOST_FAILURES && this.paused()) return false;
    const slot = this.slot(owner);
    return slot < 0 ? this.used < MOST_OWNERS : (this.counts[slot] as number) < this.most;
  }

  /** How many further packets of `owner` are allowed now. */
  left(owner: DomainId): number {
    if (!this.allows(owner)) return 0;
    const slot = this.slot(owner);
    return slot < 0 ? this.most : this.most - (this.counts[slot] as number);
  }

  /** Packets of `owner` wait for the peer; allowed before. */
  park(owner: DomainId, count = 1): void {
    let slot = this.slot(owner);
    if (slot < 0) {
      slot = this.used;
      this.used += 1;
      this.owners[slot] = owner;
      this.counts[slot] = 0;
    }
    this.counts[slot] = (this.counts[slot] as number) + count;
  }

  /** They wait no more. */
  unpark(owner: DomainId, count = 1): void {
    const slot = this.slot(owner);
    if (slot < 0) return;
    const left = (this.counts[slot] as number) - count;
    this.counts[slot] = left;
    if (left > 0) return;
    this.used -= 1;
    this.owners[slot] = this.owners[this.used] as number;
    this.counts[slot] = this.counts[this.used] as number;
  }

  /** What the peer said of a packet whose sender still lives. */
  judge(obtained: boolean): void {
    if (obtained) {
      this.failures = 0;
      return;
    }
    this.failures += 1;
    if (this.failures === MOST_FAILURES) this.pausedUntil = this.scheduler.now() + PAUSE;
  }

  private paused(): boolean {
    if (this.scheduler.now() < this.pausedUntil) return true;
    this.failures = 0;
    return false;
  }

  private slot(owner: DomainId): number {
    for (let slot = 0; slot < this.used; slot += 1) if (this.owners[slot] === owner) return slot;
    return -1;
  }
}
