import { LARGEST_FRAGMENT_COUNT, writePacketFragment } from '@netchannel2/netchannel2';
import {
  type DomainId,
  type Frame,
  type GrantEntries,
  type GrantedFrame,
  type GrantedFrameHold,
  type GrantPublications,
  type GrantRef,
  type GrantRevocations,
  grantRef,
  type LeasedPage,
  NO_GRANT_REF,
} from '@netchannel2/xen';
import type { SchedulerLike } from 'rxjs';
import { ForwardedPackets } from './forwarded-packets';
import { ForwardingCredit } from './forwarding-credit';
import { FINISHED_NOT_OBTAINED, FORWARD_WORDS, type LinkBlock } from './link-block';
import {
  COPY_DEADLINE,
  type ExactGrants,
  FinishOutcome,
  FORWARD_DEADLINE,
  type PacketGrants,
} from './packet-grants';
import { IdState, PacketIds } from './packet-ids';
import type { ParkedPackets } from './parked-packets';

/** Grants that a peer may keep busy after FINISH before it counts as hostile (spec §7). */
const MOST_BUSY = 64;
const STRIDE = LARGEST_FRAGMENT_COUNT;
/** Packets that are granted, or withdrawn, by one call. */
const MOST_IN_RUN = 64;

/**
 * Every fragment is granted exactly, read-only and copy-only, where it lies: in a page of ours, which is leased until
 * FINISH, or in a third domain's, whose packet is held as long. The first reference of an id is kept with the id, so that a
 * packet in one piece costs one entry write to send and one to finish.
 */
export class SubPageGrants implements PacketGrants, ExactGrants {
  private readonly ids: PacketIds;
  private readonly credit: ForwardingCredit;
  /** Fragments granted for each id. */
  private readonly counts: Int32Array;
  private readonly refs: Int32Array;
  private readonly pages: (LeasedPage | undefined)[];
  /** Of packets that lie in a third domain's grants and were handed on one by one. */
  private readonly holds: (GrantedFrameHold | undefined)[];
  private readonly owners: Int32Array;
  private readonly forwarded: ForwardedPackets;
  private busy = 0;
  /** Ids set aside for a run. */
  private opened = 0;
  /** Whether the reference of each was allocated just now. */
  private readonly fresh: Uint8Array;
  /** Granted, and not to be reached yet. */
  private readonly publications: GrantPublications | undefined;
  /** Over, and not withdrawn yet: packets of one fragment, in the order of {@link closing}. */
  private readonly revocations: GrantRevocations | undefined;
  /** Their ids, and whether the peer got the bytes. */
  private readonly closing: Int32Array;
  private readonly closingObtained: Uint8Array;
  private readonly run: number;

  constructor(
    private readonly entries: GrantEntries,
    private readonly peer: DomainId,
    capacity: number,
    scheduler: SchedulerLike,
    /** Shared with the kernel that takes FINISHes, where there is one. */
    private readonly block?: LinkBlock | undefined,
  ) {
    this.ids = new PacketIds(capacity);
    this.credit = new ForwardingCredit(scheduler, capacity);
    this.counts = new Int32Array(capacity);
    this.refs = new Int32Array(capacity * STRIDE).fill(NO_GRANT_REF);
    this.pages = new Array<LeasedPage | undefined>(capacity * STRIDE).fill(undefined);
    this.holds = new Array<GrantedFrameHold | undefined>(capacity).fill(undefined);
    this.owners = new Int32Array(capacity);
    this.forwarded = new ForwardedPackets(capacity, (owner, count) => this.credit.unpark(owner, count));
    this.run = Math.min(capacity, MOST_IN_RUN);
    this.publications = entries.createPublications(this.run);
    this.revocations = entries.createRevocations(this.run);
    this.closing = new Int32Array(this.run);
    this.closingObtained = new Uint8Array(this.run);
    this.fresh = new Uint8Array(this.run);
  }

  get exact(): ExactGrants {
    return this;
  }

  publish(): void {
    const { publications } = this;
    if (publications !== undefined && publications.length > 0) publications.publish();
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
    if (written === 1) this.setOne(id);
    else this.counts[id] = written;
    return id;
  }

  private grantPiece(id: number, frame: Frame, skip: number, words: Int32Array, at: number): number {
    const offset = frame.fragmentOffset(0) + skip;
    const length = frame.byteLength - skip;
    if (this.open(id, frame.fragmentPage(0), offset, length) < 0) return -1;
    words[at + 5] = length | (offset << 16);
    words[at + 6] = this.refs[id * STRIDE] as number;
    return id;
  }

  grantPage(page: LeasedPage, offset: number, length: number): number {
    const id = this.ids.take();
    return id < 0 ? -1 : this.open(id, page, offset, length);
  }

  firstRef(id: number): GrantRef {
    return this.refs[id * STRIDE] as GrantRef;
  }

  /** Grants the one piece of packet `id`. */
  private open(id: number, page: LeasedPage, offset: number, length: number): number {
    const slot = id * STRIDE;
    const ref = this.reference(slot);
    if (ref === NO_GRANT_REF) return this.giveUp(id, 0);
    const { publications } = this;
    if (publications === undefined)
      this.entries.publishSubPage(ref, this.peer, page.frame, offset, length, true);
    else {
      if (publications.length === this.run) publications.publish();
      publications.addSubPage(ref, this.peer, page.frame, offset, length, true);
    }
    page.acquire();
    this.pages[slot] = page;
    this.setOne(id);
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
      this.grantThrough(ref, owner, frame.fragmentRef(index));
      writePacketFragment(words, at, index, frame.fragmentLength(index), frame.fragmentOffset(index), ref);
    }
    if (fragmentCount === 1) this.setOne(id);
    else this.counts[id] = fragmentCount;
    this.holds[id] = frame.hold();
    this.owners[id] = owner;
    this.credit.park(owner);
    return id;
  }

  private grantThrough(ref: GrantRef, owner: DomainId, ownerRef: GrantRef): void {
    const { publications } = this;
    if (publications === undefined) {
      this.entries.publishTransitive(ref, this.peer, owner, ownerRef, true);
      return;
    }
    if (publications.length === this.run) publications.publish();
    publications.addTransitive(ref, this.peer, owner, ownerRef, true);
  }

  finish(id: number, obtained: boolean): FinishOutcome {
    const state = this.ids.state(id);
    if (state === IdState.free) return FinishOutcome.unknown;
    if (state === IdState.open) {
      const sender = this.holds[id] ?? this.forwarded.origin(id);
      if (sender !== undefined && !sender.gone) this.credit.judge(obtained);
      if (this.revocations !== undefined && this.counts[id] === 1)
        return this.addClosing(this.revocations, id, obtained);
      this.release(id, obtained);
      this.forwarded.flush();
    }
    this.ids.put(id);
    return this.judgeBusy();
  }

  private addClosing(revocations: GrantRevocations, id: number, obtained: boolean): FinishOutcome {
    const index = revocations.length;
    this.ids.close(id);
    this.block?.setFinishable(id, false);
    this.closing[index] = id;
    this.closingObtained[index] = obtained ? 1 : 0;
    revocations.add(this.refs[id * STRIDE] as GrantRef);
    return revocations.length === this.run ? this.settle() : FinishOutcome.done;
  }

  get closingRoom(): number {
    return this.revocations === undefined ? 0 : this.run - this.revocations.length;
  }

  finishRun(block: LinkBlock, count: number): void {
    const { revocations, ids, closing, closingObtained, refs, forwarded } = this;
    if (revocations === undefined) return;
    const { finished } = block;
    const first = revocations.length;
    for (let index = 0; index < count; index += 1) {
      const word = finished[index] as number;
      const id = word & ~FINISHED_NOT_OBTAINED;
      const obtained = word >= 0;
      ids.close(id);
      closing[first + index] = id;
      closingObtained[first + index] = obtained ? 1 : 0;
      revocations.add(refs[id * STRIDE] as GrantRef);
      const sender = this.holds[id] ?? forwarded.origin(id);
      if (sender !== undefined && !sender.gone) this.credit.judge(obtained);
    }
  }

  /** Packet `id` lies in one grant. */
  private setOne(id: number): void {
    this.counts[id] = 1;
    this.block?.setFinishable(id, true);
  }

  settle(): FinishOutcome {
    const { revocations } = this;
    if (revocations === undefined || revocations.length === 0) return FinishOutcome.done;
    const count = revocations.length;
    let done = 0;
    while (done < count) {
      const end = revocations.revoke(done);
      for (; done < end; done += 1) this.close(done, false);
      if (done < count) this.close(done++, true);
    }
    revocations.clear();
    this.forwarded.flush();
    return this.judgeBusy();
  }

  /** Number `index` of {@link closing} is withdrawn, or in `use` still. */
  private close(index: number, use: boolean): void {
    const id = this.closing[index] as number;
    const slot = id * STRIDE;
    const page = this.pages[slot];
    this.counts[id] = 0;
    this.ids.put(id);
    if (use) {
      const ref = this.refs[slot] as GrantRef;
      this.refs[slot] = NO_GRANT_REF;
      this.quarantine(ref, page);
    } else page?.release();
    if (page === undefined) this.letGo(id, use || this.closingObtained[index] === 1);
    else this.pages[slot] = undefined;
  }

  openRun(block: LinkBlock, owner: DomainId, most: number): number {
    if (!block.here) return 0;
    // The last credit asks for an urgent FINISH, which packets of a run do not.
    const wanted = Math.min(most, this.credit.left(owner), this.ids.free - 1, this.run);
    const { forwards } = block;
    let count = 0;
    for (; count < wanted; count += 1) {
      const id = this.ids.take();
      this.fresh[count] = this.refs[id * STRIDE] === NO_GRANT_REF ? 1 : 0;
      const ref = this.reference(id * STRIDE);
      if (ref === NO_GRANT_REF) {
        this.ids.put(id);
        break;
      }
      forwards[count * FORWARD_WORDS] = id;
      forwards[count * FORWARD_WORDS + 1] = ref;
    }
    this.opened = count;
    return count;
  }

  closeRun(block: LinkBlock, parked: ParkedPackets, owner: DomainId, pieces: number): void {
    const { forwards } = block;
    for (let index = this.opened - 1; index >= pieces; index -= 1)
      this.putUnused(forwards[index * FORWARD_WORDS] as number, index);
    this.opened = 0;
    for (let index = 0, at = 0; index < pieces; index += 1, at += FORWARD_WORDS) {
      const id = forwards[at] as number;
      this.grantThrough(forwards[at + 1] as GrantRef, owner, forwards[at + 3] as GrantRef);
      this.setOne(id);
      this.forwarded.add(id, parked, forwards[at + 2] as number);
    }
    if (pieces > 0) this.credit.park(owner, pieces);
  }

  /** An id that was set aside for nothing; what was allocated for it goes back. */
  private putUnused(id: number, index: number): void {
    const slot = id * STRIDE;
    if (this.fresh[index] === 1) {
      this.entries.free(this.refs[slot] as GrantRef);
      this.refs[slot] = NO_GRANT_REF;
    }
    this.ids.put(id);
  }

  private judgeBusy(): FinishOutcome {
    return this.busy > MOST_BUSY ? FinishOutcome.tooManyBusy : FinishOutcome.done;
  }

  /** Packet `id`, which lies in a third domain's grants, is over. */
  private letGo(id: number, obtained: boolean): void {
    const origin = this.forwarded.origin(id);
    if (origin !== undefined) {
      this.forwarded.remove(id, origin, obtained);
      return;
    }
    const hold = this.holds[id];
    if (hold === undefined) return;
    this.holds[id] = undefined;
    this.credit.unpark(this.owners[id] as DomainId);
    hold.release(obtained);
  }

  private isForwarded(id: number): boolean {
    return this.holds[id] !== undefined || this.forwarded.origin(id) !== undefined;
  }

  sweep(): boolean {
    this.publish();
    const { ids } = this;
    ids.age();
    for (let id = 0; id < ids.capacity; id += 1) {
      if (!ids.overdue(id, this.isForwarded(id) ? FORWARD_DEADLINE : COPY_DEADLINE)) continue;
      this.release(id, false);
      ids.expire(id);
    }
    this.forwarded.flush();
    return false;
  }

  end(): void {
    this.publish();
    this.settle();
    for (let id = 0; id < this.ids.capacity; id += 1) {
      if (this.ids.state(id) === IdState.open) this.release(id, false);
      const kept = this.refs[id * STRIDE] as number;
      if (kept !== NO_GRANT_REF) this.entries.free(grantRef(kept));
      this.refs[id * STRIDE] = NO_GRANT_REF;
    }
    this.forwarded.flush();
    this.publications?.end();
    this.revocations?.end();
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
    this.publish();
    this.counts[id] = written;
    this.release(id, false);
    this.ids.put(id);
    return -1;
  }

  private release(id: number, obtained: boolean): void {
    this.block?.setFinishable(id, false);
    const first = id * STRIDE;
    const end = first + (this.counts[id] as number);
    const forwarded = this.isForwarded(id);
    if (end === first + 1 && !forwarded && this.releasePiece(id, first)) return;
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
    // A copy that is still under way reads the sender's page, which its own grant keeps from being reused.
    if (forwarded) this.letGo(id, obtained || busy > 0);
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
