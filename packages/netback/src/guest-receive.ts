import {
  ETHERNET_HEADER_LENGTH,
  type FramePool,
  type HotStream,
  PacketHeaders,
  parseHeaders,
} from '@netchannel2/frames';
import {
  type BackRing,
  type FrontendFeatures,
  PACKET_BYTES_MAX,
  RING_BROKEN,
  RX_RING,
  RxFlag,
  RxStatus,
  rxRequestGref,
  rxRequestId,
  rxSlotsNeeded,
  writeGsoExtra,
  writeRxResponse,
} from '@netchannel2/netif';
import {
  type DeferredWork,
  type Domain,
  type DomainId,
  type EventChannelPort,
  type Frame,
  FrameChecksum,
  FrameSegmentation,
  type GrantCopyBatch,
  type GrantRef,
  GrantStatus,
  grantRef,
  type LeasedPage,
  PAGE_SIZE,
} from '@netchannel2/xen';
import type { Subscription } from 'rxjs';
import { CopiedPacket, pagesOf } from './copied-packet';
import { BATCH_COPIES } from './copy-batches';
import type { NetbackCounters } from './frame-drops';
import type { MulticastFilter } from './multicast-filter';
import { PASS_PACKETS } from './packet-batch';
import { SlotBatch } from './slot-batch';

/** Milliseconds between looks for buffers of a frontend that sends no event when it posts them (§3, §10). */
const POLL_INTERVAL = 30;

/**
 * The backend's end of an RX ring: frames are copied into the buffers the guest posted, with one hypercall a batch, and
 * answered in ring order. A frame without enough buffers is refused, and the guest asked for an event when it posts more.
 */
export class GuestReceive implements DeferredWork {
  deferred = false;
  private open = true;
  /** Whether the guest wants only the multicast addresses it listed. */
  filtersMulticast: boolean;
  /** Slots the frame refused last needs; 0 when none was. */
  private wanted = 0;
  private readonly slots = new SlotBatch(RX_RING.slotCount);
  private readonly headers = new PacketHeaders();
  private readonly extra = new Int32Array(2);
  private readonly copy: CopiedPacket;
  /** The packet being placed: bytes not yet placed, and the buffer being filled. */
  private remaining = 0;
  private slotRef: GrantRef = grantRef(0);
  private slotUsed = PAGE_SIZE;
  private poll: Subscription | undefined;

  constructor(
    private readonly domain: Domain,
    private readonly peer: DomainId,
    private readonly ring: BackRing,
    private readonly port: EventChannelPort,
    private readonly pool: FramePool,
    private readonly copies: GrantCopyBatch,
    private readonly guest: FrontendFeatures,
    private readonly multicast: MulticastFilter,
    private readonly counters: NetbackCounters,
    private readonly writable$: HotStream<void>,
    private readonly broken: (reason: string) => void,
  ) {
    this.copy = new CopiedPacket(domain.memory);
    this.filtersMulticast = guest.multicastControl;
  }

  send(frame: Frame | Uint8Array): boolean {
    if (!this.open) return this.refuse(1);
    const length = frame.byteLength;
    if (length < ETHERNET_HEADER_LENGTH) return this.drop('tooShort');
    if (length > PACKET_BYTES_MAX) return this.drop('tooLong');
    if (length > PAGE_SIZE && !this.guest.scatterGather) return this.drop('scatterGatherMissing');
    if (frame instanceof Uint8Array) return this.sendBytes(frame, length);
    if (this.filtersMulticast) {
      const destination = frame.uint16(0) * 0x1_0000_0000 + frame.uint32(2);
      if (!this.multicast.passes(destination)) return this.drop('multicastFiltered');
    }
    const segmentation = frame.segmentation;
    if (segmentation !== FrameSegmentation.none && !this.segments(segmentation)) {
      return this.drop('segmentationMissing');
    }
    if (frame.checksum === FrameChecksum.blank && !this.takesBlank(frame))
      return this.sendCompleted(frame, length);
    return this.sendFrame(frame, length);
  }

  /** Carries out the copies under way, answers them and tells the guest. */
  flush(): void {
    const { slots, copies, ring } = this;
    if (slots.slotCount === 0 || !this.open) return;
    copies.submit();
    this.answer();
    copies.clear();
    slots.clear();
    if (ring.pushResponses()) this.domain.events.notify(this.port);
  }

  /** End of a pass in which frames were sent. */
  run(): void {
    this.flush();
  }

  /** The guest posted buffers. */
  onEvent(): void {
    if (!this.open || this.wanted === 0) return;
    if (!this.hasSlots(this.wanted)) return;
    this.wanted = 0;
    this.writable$.emit();
  }

  /** Stops for good; copies not carried out are forgotten. */
  close(): void {
    this.open = false;
    this.poll?.unsubscribe();
    this.poll = undefined;
    this.slots.clear();
    this.copies.clear();
  }

  private segments(segmentation: FrameSegmentation): boolean {
    if (!this.guest.scatterGather) return false;
    return segmentation === FrameSegmentation.tcpv4 ? this.guest.gsoTcpv4 : this.guest.gsoTcpv6;
  }

  /** Whether the guest completes the frame's checksum itself; finds the headers when that depends on them. */
  private takesBlank(frame: Frame): boolean {
    const { noChecksumOffload, ipv6ChecksumOffload } = this.guest;
    if (!noChecksumOffload && ipv6ChecksumOffload) return true;
    parseHeaders(frame, this.headers);
    return this.headers.ipVersion === 6 ? ipv6ChecksumOffload : !noChecksumOffload;
  }

  private sendFrame(frame: Frame, length: number): boolean {
    const extras = frame.segmentation === FrameSegmentation.none ? 0 : 1;
    const pieces = frame.fragmentCount;
    if (!this.hasRoom(rxSlotsNeeded(length, extras), pieces))
      return this.refuse(rxSlotsNeeded(length, extras));
    this.begin(length, frameFlags(frame), frame.segmentSize, frame.segmentation);
    for (let index = 0; index < pieces; index += 1) {
      const page = frame.fragmentPage(index);
      page.acquire();
      this.slots.hold(page);
      this.place(page, frame.fragmentOffset(index), frame.fragmentLength(index));
    }
    return this.accepted(length);
  }

  private sendBytes(bytes: Uint8Array, length: number): boolean {
    if (this.filtersMulticast && !this.multicast.passes(destinationOf(bytes))) {
      return this.drop('multicastFiltered');
    }
    if (!this.takeCopy(length)) return this.refuse(rxSlotsNeeded(length, 0));
    this.copy.copyBytes(bytes);
    return this.sendCopy(length, 0);
  }

  /** The guest wants checksums complete: done in a copy, for others may hold the frame too. */
  private sendCompleted(frame: Frame, length: number): boolean {
    const isKnown = this.headers.transportOffset > 0;
    if (!isKnown || frame.segmentation !== FrameSegmentation.none) return this.drop('checksumUnknown');
    if (!this.takeCopy(length)) return this.refuse(rxSlotsNeeded(length, 0));
    this.copy.copyFrame(frame);
    this.copy.completeChecksum(frame, this.headers);
    return this.sendCopy(length, RxFlag.dataValidated);
  }

  private sendCopy(length: number, flags: number): boolean {
    this.begin(length, flags, 0, 0);
    for (let index = 0, left = length; left > 0; index += 1, left -= PAGE_SIZE) {
      const page = this.copy.page(index);
      this.slots.hold(page);
      this.place(page, 0, left < PAGE_SIZE ? left : PAGE_SIZE);
    }
    return this.accepted(length);
  }

  /** Slots and pages for a copied packet, or nothing taken and `false`. Flushing brings all pages back. */
  private takeCopy(length: number): boolean {
    const pages = pagesOf(length);
    if (!this.hasRoom(rxSlotsNeeded(length, 0), pages)) return false;
    if (this.pool.available < pages) this.flush();
    return this.copy.take(this.pool, length);
  }

  /** Room in batch and ring for a packet of `slots` slots stored in `pieces` pieces. */
  private hasRoom(slots: number, pieces: number): boolean {
    if (this.slots.packetCount === PASS_PACKETS || this.copies.length + pieces + slots > BATCH_COPIES)
      this.flush();
    return this.ring.unconsumed >= slots || this.hasSlots(slots);
  }

  /** Looks for posted buffers; when they do not suffice asks for an event at the next one and looks once more. */
  private hasSlots(needed: number): boolean {
    const { ring } = this;
    let waiting = ring.requests();
    if (waiting !== RING_BROKEN && waiting < needed) {
      ring.armNextRequest();
      waiting = ring.requests();
    }
    if (waiting !== RING_BROKEN) return waiting >= needed;
    this.close();
    this.broken('RX request index out of range');
    return false;
  }

  /** Takes the first data slot and the slots of extras, which come before all other data. */
  private begin(length: number, flags: number, segmentSize: number, segmentation: number): void {
    this.remaining = length;
    const extra = segmentation === FrameSegmentation.none ? 0 : RxFlag.extraInfo;
    this.nextBuffer(flags | extra, true);
    if (extra === 0) return;
    writeGsoExtra(this.extra, 0, segmentSize, segmentation, 0);
    this.slots.addExtra(this.extra[0] ?? 0, this.extra[1] ?? 0, this.copies.length);
    this.ring.requestIndex = (this.ring.requestIndex + 1) | 0;
  }

  private nextBuffer(flags: number, starts: boolean): void {
    const { ring, slots } = this;
    const at = ring.slot(ring.requestIndex);
    const id = rxRequestId(ring.words, at);
    this.slotRef = grantRef(rxRequestGref(ring.words, at));
    ring.requestIndex = (ring.requestIndex + 1) | 0;
    const more = this.remaining > PAGE_SIZE;
    const size = more ? PAGE_SIZE : this.remaining;
    slots.addData(id, more ? flags | RxFlag.moreData : flags, size, this.copies.length, starts);
    this.slotUsed = 0;
  }

  /** Adds the next bytes of the packet, going on in the next buffer when one is full. */
  private place(page: LeasedPage, offset: number, length: number): void {
    let from = offset;
    let left = length;
    while (left > 0) {
      if (this.slotUsed === PAGE_SIZE) this.nextBuffer(0, false);
      const space = PAGE_SIZE - this.slotUsed;
      const piece = left < space ? left : space;
      this.copies.addToGrant(page, from, this.peer, this.slotRef, this.slotUsed, piece);
      this.slotUsed += piece;
      this.remaining -= piece;
      from += piece;
      left -= piece;
    }
  }

  /** Writes a response into each slot of the batch, in the order of the requests. */
  private answer(): void {
    const { slots, ring, counters } = this;
    let failed = false;
    for (let slot = 0; slot < slots.slotCount; slot += 1) {
      const at = ring.slot(ring.responseIndex);
      ring.responseIndex = (ring.responseIndex + 1) | 0;
      const size = slots.size[slot] ?? 0;
      if (size === 0) {
        ring.words[at] = slots.extraFirst[slot] ?? 0;
        ring.words[at + 1] = slots.extraSecond[slot] ?? 0;
        continue;
      }
      if (slots.starts[slot] === 1) failed = false;
      const copied = this.allCopied(slot);
      if (!copied && !failed) {
        failed = true;
        counters.dropped.copyFailed += 1;
      }
      writeRxResponse(
        ring.words,
        at,
        slots.id[slot] ?? 0,
        0,
        slots.flags[slot] ?? 0,
        copied ? size : RxStatus.error,
      );
    }
  }

  private allCopied(slot: number): boolean {
    const end = this.slots.firstCopy[slot + 1] ?? 0;
    for (let copy = this.slots.firstCopy[slot] ?? 0; copy < end; copy += 1) {
      if (this.copies.status(copy) !== GrantStatus.okay) return false;
    }
    return true;
  }

  private accepted(length: number): boolean {
    this.slots.end(this.copies.length);
    this.counters.framesSent += 1;
    this.counters.bytesSent += length;
    if (!this.deferred) this.domain.defer(this);
    return true;
  }

  private refuse(needed: number): boolean {
    this.counters.sendRefused += 1;
    this.wanted = needed;
    this.flush();
    if (!this.guest.rxNotify) this.lookAgain();
    return false;
  }

  private drop(reason: keyof NetbackCounters['dropped']): boolean {
    this.counters.dropped[reason] += 1;
    return true;
  }

  private lookAgain(): void {
    if (this.poll !== undefined || !this.open) return;
    this.poll = this.domain.scheduler.schedule(() => {
      this.poll = undefined;
      this.onEvent();
      if (this.wanted > 0) this.lookAgain();
    }, POLL_INTERVAL);
  }
}

/** RX flags of a frame's checksum. */
function frameFlags(frame: Frame): number {
  switch (frame.checksum) {
    case FrameChecksum.blank:
      return RxFlag.checksumBlank | RxFlag.dataValidated;
    case FrameChecksum.validated:
      return RxFlag.dataValidated;
    default:
      return 0;
  }
}

function destinationOf(bytes: Uint8Array): number {
  let address = 0;
  for (let index = 0; index < 6; index += 1) address = address * 256 + (bytes[index] ?? 0);
  return address;
}
