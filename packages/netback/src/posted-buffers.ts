import type { CopiedPacket } from '@netchannel2/frames';
import {
  type BackRing,
  EXTRA_MORE,
  RING_BROKEN,
  RX_RING,
  RxFlag,
  RxStatus,
  rxRequestGref,
  rxRequestId,
  writeGsoExtra,
  writeRxResponse,
} from '@netchannel2/netif';
import {
  type Domain,
  type DomainId,
  type EventChannelPort,
  type GrantCopyBatch,
  type GrantedFrame,
  type GrantedFrameHold,
  type GrantRef,
  GrantStatus,
  grantRef,
  type LeasedPage,
  type MemoryArea,
  PAGE_SIZE,
} from '@netchannel2/xen';
import { BATCH_COPIES } from './copy-batches';
import type { NetbackCounters } from './frame-drops';
import { PASS_PACKETS } from './packet-batch';
import { PlainPlacements } from './plain-placements';
import type { ReceivePacket } from './receive-packet';
import { SlotBatch } from './slot-batch';
import type { StagingBuffers } from './staging-buffers';

/**
 * The buffers a guest posted on an RX ring. Packets are placed in them piece by piece; the copies of a batch are carried
 * out by one hypercall, and the slots answered in ring order.
 */
export class PostedBuffers {
  private open = true;
  private readonly plain = new PlainPlacements();
  /** What is placed once something was that is not plain. */
  private readonly slots = new SlotBatch(RX_RING.slotCount);
  private readonly extra = new Int32Array(2);
  /** The packet being placed: bytes not yet placed, and the buffer being filled. */
  private remaining = 0;
  private slotRef: GrantRef = grantRef(0);
  private slotUsed = PAGE_SIZE;
  private staged: MemoryArea | undefined;

  constructor(
    private readonly domain: Domain,
    private readonly peer: DomainId,
    private readonly ring: BackRing,
    private readonly port: EventChannelPort,
    private readonly copies: GrantCopyBatch,
    private readonly staging: StagingBuffers,
    private readonly counters: NetbackCounters,
    private readonly broken: (reason: string) => void,
  ) {}

  get isOpen(): boolean {
    return this.open;
  }

  /** Whether there are buffers that grants cannot be copied into. */
  get isStaged(): boolean {
    return this.staging.size > 0;
  }

  /** Room in batch and ring for a packet of `slots` slots stored in `pieces` pieces. */
  hasRoom(slots: number, pieces: number): boolean {
    const placed = this.plain.count + this.slots.packetCount;
    if (placed === PASS_PACKETS || this.copies.length + pieces + slots > BATCH_COPIES) this.flush();
    return this.ring.unconsumed >= slots || this.hasSlots(slots);
  }

  /** Looks for posted buffers; when they do not suffice an event will come for the next one. */
  hasSlots(needed: number): boolean {
    if (!this.open) return false;
    const waiting = this.ring.awaitRequests(needed);
    if (waiting !== RING_BROKEN) return waiting >= needed;
    this.close();
    this.broken('RX request index out of range');
    return false;
  }

  /** Begins a packet that there is room for: takes the first data slot and those of extras, which come before other data. */
  begin(packet: ReceivePacket): void {
    if (this.plain.count > 0) this.plain.spill(this.slots);
    this.remaining = packet.length;
    const hasGso = packet.segmentSize !== 0;
    const hasHash = packet.hashFirst !== 0;
    this.nextBuffer(hasGso || hasHash ? packet.flags | RxFlag.extraInfo : packet.flags);
    if (hasGso) {
      const more = hasHash ? EXTRA_MORE : 0;
      writeGsoExtra(this.extra, 0, packet.segmentSize, packet.segmentation, more);
      this.addExtra(this.extra[0] as number, this.extra[1] as number);
    }
    if (hasHash) this.addExtra(packet.hashFirst, packet.hashSecond);
  }

  /** A whole packet of one slot, from one piece of a page whose lease is taken over. There is room for it. */
  placeSingle(page: LeasedPage, offset: number, length: number, flags: number): void {
    const { ring, slots, copies } = this;
    const at = ring.slot(ring.requestIndex);
    const id = rxRequestId(ring.words, at);
    const ref = grantRef(rxRequestGref(ring.words, at));
    ring.requestIndex = (ring.requestIndex + 1) | 0;
    if (this.staging.size === 0 && slots.slotCount === 0) {
      copies.addToGrant(page, offset, this.peer, ref, 0, length);
      this.plain.add(page, id, flags, length);
      this.counters.framesSent += 1;
      this.counters.bytesSent += length;
      return;
    }
    if (this.plain.count > 0) this.plain.spill(slots);
    slots.addData(id, flags, length, copies.length);
    slots.lease(page);
    const staged = this.staging.size === 0 ? undefined : this.staging.findWritable(ref);
    if (staged === undefined) copies.addToGrant(page, offset, this.peer, ref, 0, length);
    else this.domain.memory.copy(staged, 0, page, offset, length);
    this.end(length);
  }

  /** Adds the packet's next bytes, from a page whose lease is taken over. */
  place(page: LeasedPage, offset: number, length: number): void {
    this.slots.lease(page);
    let from = offset;
    let left = length;
    while (left > 0) {
      if (this.slotUsed === PAGE_SIZE) this.nextBuffer(0);
      const space = PAGE_SIZE - this.slotUsed;
      const piece = left < space ? left : space;
      if (this.staged === undefined) {
        this.copies.addToGrant(page, from, this.peer, this.slotRef, this.slotUsed, piece);
      } else {
        this.domain.memory.copy(this.staged, this.slotUsed, page, from, piece);
      }
      this.placed(piece);
      from += piece;
      left -= piece;
    }
  }

  /** Adds the packet's next bytes, from byte `skip` of fragment `index` of a packet in another guest's grants. */
  placeGranted(frame: GrantedFrame, index: number, skip: number): void {
    const ref = frame.fragmentRef(index);
    let from = frame.fragmentOffset(index) + skip;
    let left = frame.fragmentLength(index) - skip;
    while (left > 0) {
      if (this.slotUsed === PAGE_SIZE) this.nextBuffer(0);
      const space = PAGE_SIZE - this.slotUsed;
      const piece = left < space ? left : space;
      this.copies.addBetweenGrants(frame.owner, ref, from, this.peer, this.slotRef, this.slotUsed, piece);
      this.placed(piece);
      from += piece;
      left -= piece;
    }
  }

  /** Ends the packet. */
  end(length: number): void {
    this.slots.end(this.copies.length);
    this.counters.framesSent += 1;
    this.counters.bytesSent += length;
  }

  /** Takes over a share in the packet ended last, for as long as it is being copied from its sender's grants. */
  hold(hold: GrantedFrameHold): void {
    this.slots.hold(hold);
  }

  /** Copies a packet in another guest's grants to pages of ours, at once. Answers whether all of it came. */
  fetch(frame: GrantedFrame, copy: CopiedPacket): boolean {
    this.flush();
    const { head } = frame;
    this.domain.memory.copy(copy.page(0), 0, head.area, head.offset, head.byteLength);
    let at = head.byteLength;
    let skip = frame.headIsPrefix ? 0 : at;
    for (let index = 0; index < frame.fragmentCount; index += 1) {
      const fragment = frame.fragmentLength(index);
      for (let from = skip; from < fragment; ) {
        const used = at & (PAGE_SIZE - 1);
        const piece = Math.min(fragment - from, PAGE_SIZE - used);
        this.copies.addFromGrant(
          frame.owner,
          frame.fragmentRef(index),
          frame.fragmentOffset(index) + from,
          copy.page(at >> 12),
          used,
          piece,
        );
        at += piece;
        from += piece;
      }
      skip = Math.max(0, skip - fragment);
    }
    this.copies.submit();
    let isCopied = true;
    for (let index = 0; index < this.copies.length; index += 1)
      if (this.copies.status(index) !== GrantStatus.okay) isCopied = false;
    this.copies.clear();
    return isCopied;
  }

  /** Carries out the copies under way, answers them and tells the guest. */
  flush(): void {
    const { plain, slots, copies, ring } = this;
    if (!this.open) return;
    if (plain.count > 0) {
      copies.submit();
      this.counters.dropped.copyFailed += plain.answer(ring, copies);
    } else if (slots.slotCount > 0) {
      // A sender that has gone may have put its references to another use by now.
      const isStale = slots.isStale;
      if (!isStale) copies.submit();
      this.answer(isStale);
      slots.clear();
    } else return;
    copies.clear();
    if (ring.pushResponses()) this.domain.events.notify(this.port);
  }

  /** Stops for good; copies not carried out are forgotten. */
  close(): void {
    if (!this.open) return;
    this.open = false;
    this.counters.dropped.lostInFlight += this.plain.count + this.slots.packetCount;
    this.plain.clear();
    this.slots.clear();
    this.copies.clear();
  }

  private nextBuffer(flags: number): void {
    const { ring, slots } = this;
    const at = ring.slot(ring.requestIndex);
    const id = rxRequestId(ring.words, at);
    this.slotRef = grantRef(rxRequestGref(ring.words, at));
    if (this.staging.size > 0) this.staged = this.staging.findWritable(this.slotRef);
    else this.staged = undefined;
    ring.requestIndex = (ring.requestIndex + 1) | 0;
    const more = this.remaining > PAGE_SIZE;
    const size = more ? PAGE_SIZE : this.remaining;
    slots.addData(id, more ? flags | RxFlag.moreData : flags, size, this.copies.length);
    this.slotUsed = 0;
  }

  private addExtra(first: number, second: number): void {
    this.slots.addExtra(first, second, this.copies.length);
    this.ring.requestIndex = (this.ring.requestIndex + 1) | 0;
  }

  private placed(piece: number): void {
    this.slotUsed += piece;
    this.remaining -= piece;
  }

  /** Writes a response into each slot of the batch, in the order of the requests. */
  private answer(isStale: boolean): void {
    const { slots, ring, counters } = this;
    let slot = 0;
    for (let packet = 0; packet < slots.packetCount; packet += 1) {
      const end = slots.packetEnd[packet] as number;
      let obtained = true;
      for (; slot < end; slot += 1) {
        const at = ring.slot(ring.responseIndex);
        ring.responseIndex = (ring.responseIndex + 1) | 0;
        const size = slots.size[slot] as number;
        if (size === 0) {
          ring.words[at] = slots.extraFirst[slot] as number;
          ring.words[at + 1] = slots.extraSecond[slot] as number;
          continue;
        }
        const copied = !isStale && this.allCopied(slot);
        if (!copied) obtained = false;
        const status = copied ? size : RxStatus.error;
        writeRxResponse(ring.words, at, slots.id[slot] as number, 0, slots.flags[slot] as number, status);
      }
      if (!obtained) counters.dropped.copyFailed += 1;
      slots.letGo(packet, obtained);
    }
  }

  private allCopied(slot: number): boolean {
    const end = this.slots.firstCopy[slot + 1] as number;
    for (let copy = this.slots.firstCopy[slot] as number; copy < end; copy += 1) {
      if (this.copies.status(copy) !== GrantStatus.okay) return false;
    }
    return true;
  }
}
