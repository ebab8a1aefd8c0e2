import {
  CopiedPacket,
  ETHERNET_HEADER_LENGTH,
  type FramePool,
  type HotStream,
  pagesOf,
  TcpSegments,
} from '@netchannel2/frames';
import { type FrontendFeatures, PACKET_BYTES_MAX, RX_RING, RxFlag } from '@netchannel2/netif';
import {
  type DeferredWork,
  type Domain,
  type Frame,
  FrameChecksum,
  FrameSegmentation,
  type GrantedFrame,
  type GrantedHead,
  PAGE_SIZE,
} from '@netchannel2/xen';
import type { NetbackCounters } from './frame-drops';
import { GuestAbilities } from './guest-abilities';
import type { MulticastFilter } from './multicast-filter';
import { PeekedHead } from './peeked-head';
import type { PostedBuffers } from './posted-buffers';
import { checksumFlags, ReceivePacket } from './receive-packet';
import { WaitingPackets } from './waiting-packets';

/**
 * What goes to the guest through one RX ring. A packet is copied into posted buffers from where it lies; when there are
 * too few it waits in a queue of bounded size, and `send` refuses what the queue does not take.
 */
export class GuestReceive implements DeferredWork {
  deferred = false;
  private open = true;
  /** Whether the guest wants only the multicast addresses it listed. */
  filtersMulticast: boolean;
  /** Words of the hash extra of the packet sent next; 0 for none. */
  hashFirst = 0;
  hashSecond = 0;
  readonly guest: GuestAbilities;
  private readonly packet = new ReceivePacket();
  private readonly segments = new TcpSegments();
  private readonly copy: CopiedPacket;
  private readonly waiting: WaitingPackets;

  constructor(
    private readonly domain: Domain,
    private readonly buffers: PostedBuffers,
    pool: FramePool,
    features: FrontendFeatures,
    private readonly multicast: MulticastFilter,
    private readonly counters: NetbackCounters,
    writable$: HotStream<void>,
    carrierChanged: (on: boolean) => void,
  ) {
    this.copy = new CopiedPacket(domain.memory);
    this.guest = new GuestAbilities(features);
    this.filtersMulticast = features.multicastControl;
    this.waiting = new WaitingPackets(
      domain,
      buffers,
      pool,
      features.rxNotify,
      this.packet,
      counters,
      writable$,
      carrierChanged,
    );
  }

  send(frame: Frame | Uint8Array): boolean {
    if (!this.open) return this.refuse();
    const length = frame.byteLength;
    if (length < ETHERNET_HEADER_LENGTH) return this.drop('tooShort');
    if (length > PACKET_BYTES_MAX) return this.drop('tooLong');
    if (this.waiting.isStalled) return this.drop('stalled');
    if (frame instanceof Uint8Array) return this.sendBytes(frame, length);
    if (this.filtersMulticast && !this.multicast.passesFrame(frame)) return this.drop('multicastFiltered');
    // Most frames: one piece, one slot, nothing beside it.
    if (
      frame.fragmentCount === 1 &&
      frame.segmentation === FrameSegmentation.none &&
      frame.checksum !== FrameChecksum.blank &&
      this.hashFirst === 0
    )
      return this.sendSingle(frame, length);
    return this.sendUnusual(frame, length);
  }

  /** Hands on a packet that lies in another guest's grants, and that the guest takes as it is. */
  sendGranted(frame: GrantedFrame): boolean {
    if (!this.open) return this.refuse();
    if (this.waiting.isStalled) return this.drop('stalled');
    if (this.filtersMulticast && !this.multicast.passesFrame(frame.head))
      return this.drop('multicastFiltered');
    const { buffers, packet } = this;
    const length = frame.byteLength;
    this.describe(length, checksumFlags(frame.checksum), frame.segmentSize, frame.segmentation);
    if (
      !this.waiting.isEmpty ||
      buffers.isStaged ||
      !buffers.hasRoom(packet.slots, frame.fragmentCount + 1) ||
      !this.placeHead(frame.head)
    ) {
      return this.queueGranted(frame, length);
    }
    let skip = frame.headIsPrefix ? 0 : frame.head.byteLength;
    for (let index = 0; index < frame.fragmentCount; index += 1) {
      const fragment = frame.fragmentLength(index);
      if (skip < fragment) buffers.placeGranted(frame, index, skip);
      skip = skip < fragment ? 0 : skip - fragment;
    }
    buffers.end(length);
    if (frame.fragmentCount > 0) buffers.hold(frame.hold());
    if (!this.deferred) this.domain.defer(this);
    return true;
  }

  /** Carries out the copies under way, answers them and tells the guest. */
  flush(): void {
    this.buffers.flush();
  }

  /** End of a pass in which frames were sent. */
  run(): void {
    this.buffers.flush();
    if (this.waiting.passed() && !this.deferred) this.domain.defer(this);
  }

  /** The guest posted buffers. */
  onEvent(): void {
    if (this.open) this.waiting.onEvent();
  }

  /** Stops for good; packets not placed are dropped. */
  close(): void {
    if (!this.open) return;
    this.open = false;
    this.waiting.close();
    this.buffers.close();
  }

  private describe(length: number, flags: number, segmentSize: number, segmentation: number): void {
    this.packet.set(length, flags, segmentSize, segmentation);
    this.packet.hashFirst = this.hashFirst;
    this.packet.hashSecond = this.hashSecond;
  }

  private sendSingle(frame: Frame, length: number): boolean {
    const { buffers, waiting, packet } = this;
    const flags = frame.checksum === FrameChecksum.validated ? RxFlag.dataValidated : 0;
    const page = frame.fragmentPage(0);
    const offset = frame.fragmentOffset(0);
    if (waiting.isEmpty && buffers.hasRoom(1, 1)) {
      page.acquire();
      buffers.placeSingle(page, offset, length, flags);
    } else {
      this.describe(length, flags, 0, 0);
      if (!waiting.borrow(packet, page, offset)) return this.refuse();
    }
    if (!this.deferred) this.domain.defer(this);
    return true;
  }

  private sendUnusual(frame: Frame, length: number): boolean {
    if (frame.segmentation !== FrameSegmentation.none) {
      // A guest that wants checksums complete cannot cut: each segment needs one of its own.
      if (!this.guest.segments(frame.segmentation) || !this.guest.takesBlank(frame))
        return this.sendSegments(frame);
    }
    if (length > PAGE_SIZE && !this.guest.scatterGather) return this.drop('scatterGatherMissing');
    if (frame.checksum === FrameChecksum.blank && !this.guest.takesBlank(frame))
      return this.sendCompleted(frame, length);
    return this.sendFrame(frame, length);
  }

  private sendFrame(frame: Frame, length: number): boolean {
    const { buffers, packet } = this;
    const pieces = frame.fragmentCount;
    this.describe(length, checksumFlags(frame.checksum), frame.segmentSize, frame.segmentation);
    if (!this.waiting.isEmpty || !buffers.hasRoom(packet.slots, pieces)) {
      if (!this.waiting.takeCopy(this.copy, length)) return this.refuse();
      this.copy.copyFrame(frame);
      return this.placeCopy();
    }
    buffers.begin(packet);
    for (let index = 0; index < pieces; index += 1) {
      const page = frame.fragmentPage(index);
      page.acquire();
      buffers.place(page, frame.fragmentOffset(index), frame.fragmentLength(index));
    }
    buffers.end(length);
    if (!this.deferred) this.domain.defer(this);
    return true;
  }

  private sendBytes(bytes: Uint8Array, length: number): boolean {
    if (length > PAGE_SIZE && !this.guest.scatterGather) return this.drop('scatterGatherMissing');
    if (this.filtersMulticast && !this.multicast.passesBytes(bytes)) return this.drop('multicastFiltered');
    if (!this.waiting.takeCopy(this.copy, length)) return this.refuse();
    this.copy.copyBytes(bytes);
    this.describe(length, 0, 0, 0);
    return this.placeCopy();
  }

  /** The guest wants checksums complete: done in a copy, for others may hold the frame too. */
  private sendCompleted(frame: Frame, length: number): boolean {
    if (this.guest.headers.transportOffset === 0) return this.drop('checksumUnknown');
    if (!this.waiting.takeCopy(this.copy, length)) return this.refuse();
    this.copy.copyFrame(frame);
    this.copy.completeChecksum(frame, this.guest.headers);
    this.describe(length, RxFlag.dataValidated, 0, 0);
    return this.placeCopy();
  }

  /** The guest does not cut packets itself: each segment is a packet of its own, and all of them go or none. */
  private sendSegments(frame: Frame): boolean {
    const { segments } = this;
    if (!segments.begin(frame)) return this.drop('segmentationUnknown');
    const length = segments.lengthOf(0);
    if (length > PAGE_SIZE && !this.guest.scatterGather) return this.drop('scatterGatherMissing');
    const pages = segments.count * pagesOf(length);
    const own = this.waiting.pages;
    if (pages > RX_RING.slotCount || pages > own.capacity) return this.drop('segmentationUnknown');
    if (own.available < pages) this.flush();
    if (own.available < pages || !own.takesAll(segments.count, segments.count * length)) return this.refuse();
    const complete = !this.guest.takesBlank(frame);
    const flags = checksumFlags(complete ? FrameChecksum.validated : FrameChecksum.blank);
    for (let index = 0; index < segments.count; index += 1) {
      const size = segments.lengthOf(index);
      if (!this.copy.take(own, size)) return this.drop('lostInFlight');
      segments.write(frame, index, this.copy, complete);
      this.describe(size, flags, 0, 0);
      if (!this.placeCopy()) return this.drop('lostInFlight');
    }
    return true;
  }

  /** Places the packet copied to pages of ours, or lets it wait. */
  private placeCopy(): boolean {
    const { buffers, packet, copy } = this;
    const { length } = packet;
    const pages = pagesOf(length);
    if (this.waiting.isEmpty && buffers.hasRoom(packet.slots, pages)) {
      buffers.begin(packet);
      for (let index = 0, left = length; left > 0; index += 1, left -= PAGE_SIZE)
        buffers.place(copy.page(index), 0, left < PAGE_SIZE ? left : PAGE_SIZE);
      buffers.end(length);
    } else if (this.open) this.waiting.hold(packet, copy);
    else {
      // The guest broke the protocol just now, and everything was let go of.
      for (let index = 0; index < pages; index += 1) copy.page(index).release();
      return this.refuse();
    }
    if (!this.deferred) this.domain.defer(this);
    return true;
  }

  /** Begins a packet and places its head from our own copy: what was decided on is what arrives. */
  private placeHead(head: GrantedHead): boolean {
    const { buffers } = this;
    if (head instanceof PeekedHead) {
      buffers.begin(this.packet);
      head.page.acquire();
      buffers.place(head.page, head.offset, head.byteLength);
      return true;
    }
    const page = this.waiting.pages.take();
    if (page === undefined) return false;
    this.domain.memory.copy(page, 0, head.area, head.offset, head.byteLength);
    buffers.begin(this.packet);
    buffers.place(page, 0, head.byteLength);
    return true;
  }

  /** A packet that has to wait is copied in: no sender's grants are held for the sake of a slow guest. */
  private queueGranted(frame: GrantedFrame, length: number): boolean {
    if (!this.waiting.takeCopy(this.copy, length)) return this.refuse();
    const isCopied = this.buffers.fetch(frame, this.copy);
    if (frame.fragmentCount > 0) frame.hold().release(isCopied);
    if (isCopied) return this.placeCopy();
    for (let index = 0; index < pagesOf(length); index += 1) this.copy.page(index).release();
    return this.drop('copyFailed');
  }

  private refuse(): false {
    this.counters.sendRefused += 1;
    this.waiting.refuse();
    this.flush();
    return false;
  }

  private drop(reason: keyof NetbackCounters['dropped']): true {
    this.counters.dropped[reason] += 1;
    return true;
  }
}
