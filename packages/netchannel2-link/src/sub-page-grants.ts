import { LARGEST_FRAGMENT_COUNT, writePacketFragment } from '@netchannel2/netchannel2';
import {
  type DomainId,
  type Frame,
  type GrantEntries,
  type GrantRef,
  grantRef,
  type LeasedPage,
  NO_GRANT_REF,
} from '@netchannel2/xen';
import { FinishOutcome, type PacketGrants } from './packet-grants';
import { PacketIds } from './packet-ids';

/** Grants that a peer may keep busy after FINISH before it counts as hostile (spec §7). */
const MOST_BUSY = 64;
const STRIDE = LARGEST_FRAGMENT_COUNT;

/**
 * Every fragment is granted exactly, read-only and copy-only, where it lies; its page is leased until FINISH. The first
 * reference of an id is kept with the id, so that a packet in one piece costs one entry write to send and one to finish.
 */
export class SubPageGrants implements PacketGrants {
  private readonly ids: PacketIds;
  /** Fragments of each unfinished id; 0: the id is free. */
  private readonly counts: Int32Array;
  private readonly refs: Int32Array;
  private readonly pages: (LeasedPage | undefined)[];
  private busy = 0;

  constructor(
    private readonly entries: GrantEntries,
    private readonly peer: DomainId,
    capacity: number,
  ) {
    this.ids = new PacketIds(capacity);
    this.counts = new Int32Array(capacity);
    this.refs = new Int32Array(capacity * STRIDE).fill(NO_GRANT_REF);
    this.pages = new Array<LeasedPage | undefined>(capacity * STRIDE).fill(undefined);
  }

  get free(): number {
    return this.ids.free;
  }

  get unfinished(): number {
    return this.ids.capacity - this.ids.free;
  }

  fragmentsOf(frame: Frame, skip: number): number {
    const count = frame.fragmentCount;
    if (count === 1) return 1;
    let first = 0;
    for (let left = skip; first < count; first += 1) {
      const length = frame.fragmentLength(first);
      if (left < length) break;
      left -= length;
    }
    return count - first;
  }

  grant(frame: Frame, skip: number, words: Int32Array, at: number): number {
    const id = this.ids.take();
    if (id < 0) return -1;
    const count = frame.fragmentCount;
    let left = skip;
    let written = 0;
    for (let index = 0; index < count; index += 1) {
      const length = frame.fragmentLength(index);
      if (left >= length) {
        left -= length;
        continue;
      }
      const offset = frame.fragmentOffset(index) + left;
      const slot = id * STRIDE + written;
      const ref = this.publish(slot, frame.fragmentPage(index), offset, length - left);
      if (ref === NO_GRANT_REF) {
        this.counts[id] = written;
        this.release(id);
        return -1;
      }
      writePacketFragment(words, at, written, length - left, offset, ref);
      written += 1;
      left = 0;
    }
    this.counts[id] = written;
    return id;
  }

  finish(id: number): FinishOutcome {
    if (id >>> 0 >= this.ids.capacity || this.counts[id] === 0) return FinishOutcome.unknown;
    this.release(id);
    return this.busy > MOST_BUSY ? FinishOutcome.tooManyBusy : FinishOutcome.done;
  }

  end(): void {
    for (let id = 0; id < this.ids.capacity; id += 1) {
      if ((this.counts[id] as number) > 0) this.release(id);
      const kept = this.refs[id * STRIDE] as number;
      if (kept !== NO_GRANT_REF) this.entries.free(grantRef(kept));
      this.refs[id * STRIDE] = NO_GRANT_REF;
    }
  }

  /** Grants bytes of a page and leases it. @returns the reference, or {@link NO_GRANT_REF}. */
  private publish(slot: number, page: LeasedPage, offset: number, length: number): GrantRef {
    let ref = this.refs[slot] as GrantRef;
    if (ref === NO_GRANT_REF) {
      ref = this.entries.allocate();
      if (ref === NO_GRANT_REF) return ref;
      this.refs[slot] = ref;
    }
    this.entries.publishSubPage(ref, this.peer, page.frame, offset, length, true);
    page.acquire();
    this.pages[slot] = page;
    return ref;
  }

  private release(id: number): void {
    const first = id * STRIDE;
    const end = first + (this.counts[id] as number);
    for (let slot = first; slot < end; slot += 1) {
      const ref = this.refs[slot] as number as GrantRef;
      const page = this.pages[slot];
      this.pages[slot] = undefined;
      if (!this.entries.revoke(ref)) {
        this.refs[slot] = NO_GRANT_REF;
        this.quarantine(ref, page);
        continue;
      }
      page?.release();
      if (slot === first) continue;
      this.entries.free(ref);
      this.refs[slot] = NO_GRANT_REF;
    }
    this.counts[id] = 0;
    this.ids.put(id);
  }

  /** A copy of the peer's is under way: page and reference stay out of use until it ends. */
  private quarantine(ref: GrantRef, page: LeasedPage | undefined): void {
    this.busy += 1;
    this.entries.revokeDeferred(ref, () => {
      this.busy -= 1;
      page?.release();
    });
  }
}
