import { LARGEST_FRAGMENT_COUNT, writePacketFragment } from '@netchannel2/netchannel2';
import {
  type DomainId,
  type Frame,
  type GrantEntries,
  type GrantedFrame,
  type GrantedFrameHold,
  type GrantRef,
  grantRef,
  type LeasedPage,
  NO_GRANT_REF,
} from '@netchannel2/xen';
import type { SchedulerLike } from 'rxjs';
import { ForwardingCredit } from './forwarding-credit';
import { COPY_DEADLINE, FinishOutcome, FORWARD_DEADLINE, type PacketGrants } from './packet-grants';
import { IdState, PacketIds } from './packet-ids';

/** Grants that a peer may keep busy after FINISH before it counts as hostile (spec §7). */
const MOST_BUSY = 64;
const STRIDE = LARGEST_FRAGMENT_COUNT;

/**
 * Every fragment is granted exactly, read-only and copy-only, where it lies: in a page of ours, which is leased until
 * FINISH, or in a third domain's, whose packet is held as long. The first reference of an id is kept with the id, so that a
 * packet in one piece costs one entry write to send and one to finish.
 */
export class SubPageGrants implements PacketGrants {
  private readonly ids: PacketIds;
  private readonly credit: ForwardingCredit;
  /** Fragments granted for each id. */
  private readonly counts: Int32Array;
  private readonly refs: Int32Array;
  private readonly pages: (LeasedPage | undefined)[];
  /** Of packets that lie in a third domain's grants. */
  private readonly holds: (GrantedFrameHold | undefined)[];
  private readonly owners: Int32Array;
  private busy = 0;

  constructor(
    private readonly entries: GrantEntries,
    private readonly peer: DomainId,
    capacity: number,
    scheduler: SchedulerLike,
  ) {
    this.ids = new PacketIds(capacity);
    this.credit = new ForwardingCredit(scheduler, capacity);
    this.counts = new Int32Array(capacity);
    this.refs = new Int32Array(capacity * STRIDE).fill(NO_GRANT_REF);
    this.pages = new Array<LeasedPage | undefined>(capacity * STRIDE).fill(undefined);
    this.holds = new Array<GrantedFrameHold | undefined>(capacity).fill(undefined);
    this.owners = new Int32Array(capacity);
  }

  get free(): number {
    return this.ids.free;
  }

  get capacity(): number {
    return this.ids.capacity;
  }

  get unfinished(): number {
    return this.ids.open;
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
    if (count === 1) return this.grantPiece(id, frame, skip, words, at);
    let left = skip;
    let written = 0;
    for (let index = 0; index < count; index += 1) {
      const length = frame.fragmentLength(index);
      if (left >= length) {
        left -= length;
        continue;
      }
      const slot = id * STRIDE + written;
      const ref = this.reference(slot);
      if (ref === NO_GRANT_REF) return this.giveUp(id, written);
      const offset = frame.fragmentOffset(index) + left;
      const page = frame.fragmentPage(index);
      this.entries.publishSubPage(ref, this.peer, page.frame, offset, length - left, true);
      page.acquire();
      this.pages[slot] = page;
      writePacketFragment(words, at, written, length - left, offset, ref);
      written += 1;
      left = 0;
    }
    this.counts[id] = written;
    return id;
  }

  private grantPiece(id: number, frame: Frame, skip: number, words: Int32Array, at: number): number {
    const slot = id * STRIDE;
    const ref = this.reference(slot);
    if (ref === NO_GRANT_REF) return this.giveUp(id, 0);
    const page = frame.fragmentPage(0);
    const offset = frame.fragmentOffset(0) + skip;
    const length = frame.byteLength - skip;
    this.entries.publishSubPage(ref, this.peer, page.frame, offset, length, true);
    page.acquire();
    this.pages[slot] = page;
    this.counts[id] = 1;
    words[at + 5] = length | (offset << 16);
    words[at + 6] = ref;
    return id;
  }

  acceptsGranted(frame: GrantedFrame): boolean {
    return this.credit.allows(frame.owner);
  }

  grantOn(frame: GrantedFrame, words: Int32Array, at: number): number {
    const id = this.ids.take();
    if (id < 0) return -1;
    const { owner, fragmentCount } = frame;
    for (let index = 0; index < fragmentCount; index += 1) {
      const ref = this.reference(id * STRIDE + index);
      if (ref === NO_GRANT_REF) return this.giveUp(id, index);
      this.entries.publishTransitive(ref, this.peer, owner, frame.fragmentRef(index), true);
      writePacketFragment(words, at, index, frame.fragmentLength(index), frame.fragmentOffset(index), ref);
    }
    this.counts[id] = fragmentCount;
    this.holds[id] = frame.hold();
    this.owners[id] = owner;
    this.credit.park(owner);
    return id;
  }

  finish(id: number, obtained: boolean): FinishOutcome {
    const state = this.ids.state(id);
    if (state === IdState.free) return FinishOutcome.unknown;
    if (state === IdState.open) {
      const hold = this.holds[id];
      if (hold !== undefined && !hold.gone) this.credit.judge(obtained);
      this.release(id, obtained);
    }
    this.ids.put(id);
    return this.busy > MOST_BUSY ? FinishOutcome.tooManyBusy : FinishOutcome.done;
  }

  sweep(): boolean {
    const { ids } = this;
    ids.age();
    for (let id = 0; id < ids.capacity; id += 1) {
      if (!ids.overdue(id, this.holds[id] === undefined ? COPY_DEADLINE : FORWARD_DEADLINE)) continue;
      this.release(id, false);
      ids.expire(id);
    }
    return false;
  }

  end(): void {
    for (let id = 0; id < this.ids.capacity; id += 1) {
      if (this.ids.state(id) === IdState.open) this.release(id, false);
      const kept = this.refs[id * STRIDE] as number;
      if (kept !== NO_GRANT_REF) this.entries.free(grantRef(kept));
      this.refs[id * STRIDE] = NO_GRANT_REF;
    }
  }

  /** The reference of a slot, a fresh one if it has none; {@link NO_GRANT_REF} when there are no more. */
  private reference(slot: number): GrantRef {
    const kept = this.refs[slot] as GrantRef;
    if (kept !== NO_GRANT_REF) return kept;
    const ref = this.entries.allocate();
    this.refs[slot] = ref;
    return ref;
  }

  /** References ran out with `written` fragments granted. */
  private giveUp(id: number, written: number): -1 {
    this.counts[id] = written;
    this.release(id, false);
    this.ids.put(id);
    return -1;
  }

  private release(id: number, obtained: boolean): void {
    const first = id * STRIDE;
    const end = first + (this.counts[id] as number);
    const hold = this.holds[id];
    if (end === first + 1 && hold === undefined && this.releasePiece(id, first)) return;
    let busy = 0;
    for (let slot = first; slot < end; slot += 1) {
      const ref = this.refs[slot] as number as GrantRef;
      const page = this.pages[slot];
      this.pages[slot] = undefined;
      if (!this.entries.revoke(ref)) {
        this.refs[slot] = NO_GRANT_REF;
        busy += 1;
        this.quarantine(ref, page);
        continue;
      }
      page?.release();
      if (slot === first) continue;
      this.entries.free(ref);
      this.refs[slot] = NO_GRANT_REF;
    }
    this.counts[id] = 0;
    if (hold === undefined) return;
    this.holds[id] = undefined;
    this.credit.unpark(this.owners[id] as DomainId);
    // A copy that is still under way reads the sender's page, which its own grant keeps from being reused.
    hold.release(obtained || busy > 0);
  }

  /** A packet in one piece of a page of ours. `false`: the peer uses its grant still. */
  private releasePiece(id: number, slot: number): boolean {
    if (!this.entries.revoke(this.refs[slot] as number as GrantRef)) return false;
    const page = this.pages[slot];
    this.pages[slot] = undefined;
    this.counts[id] = 0;
    page?.release();
    return true;
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
