import {
  CopiedPacket,
  ETHERNET_HEADER_LENGTH,
  type FramePool,
  type HotStream,
  PacketHeaders,
  pagesOf,
  parseHeaders,
  TcpSegments,
} from '@netchannel2/frames';
import { type FrontendFeatures, PACKET_BYTES_MAX, RX_RING, RxFlag } from '@netchannel2/netif';
import {
  type DeferredWork,
  type Domain,
  type Frame,
  FrameChecksum,
  FrameSegmentation,
  type FrameView,
  type GrantedFrame,
  type GrantedHead,
  PAGE_SIZE,
} from '@netchannel2/xen';
import type { NetbackCounters } from './frame-drops';
import { GuestPatience, type PatienceOwner } from './guest-patience';
import type { MulticastFilter } from './multicast-filter';
import { PeekedHead } from './peeked-head';
import type { PostedBuffers } from './posted-buffers';
import { ReceiveBacklog } from './receive-backlog';
import { checksumFlags, ReceivePacket } from './receive-packet';

/**
 * What goes to the guest through one RX ring. A packet is copied into posted buffers from where it lies; when there are
 * too few it waits in a queue of bounded size, and `send` refuses what the queue does not take.
 */
export class GuestReceive implements DeferredWork, PatienceOwner {
  deferred = false;
  private open = true;
  /** Whether the guest wants only the multicast addresses it listed. */
  filtersMulticast: boolean;
  /** Words of the hash extra of the packet sent next; 0 for none. */
  hashFirst = 0;
  hashSecond = 0;
  /** Whether `send` refused a frame since `writable$` last emitted. */
  private refused = false;
  /** When the pass under way began to queue; -1 when it has not. */
  private passTime = -1;
  /** Slots the first packet that found too few needs. */
  private wanted = 0;
  private readonly packet = new ReceivePacket();
  private readonly headers = new PacketHeaders();
  private readonly segments = new TcpSegments();
  private readonly copy: CopiedPacket;
  private readonly backlog: ReceiveBacklog;
  private readonly patience: GuestPatience;

  constructor(
    private readonly domain: Domain,
    private readonly buffers: PostedBuffers,
    private readonly pool: FramePool,
    private readonly guest: FrontendFeatures,
    private readonly multicast: MulticastFilter,
    private readonly counters: NetbackCounters,
    private readonly writable$: HotStream<void>,
    private readonly carrierChanged: (on: boolean) => void,
  ) {
    this.copy = new CopiedPacket(domain.memory);
    this.filtersMulticast = guest.multicastControl;
    this.backlog = new ReceiveBacklog(pool.available);
    this.patience = new GuestPatience(domain.scheduler, guest.rxNotify, this);
  }

  send(frame: Frame | Uint8Array): boolean {
    if (!this.open) return this.refuse();
    const length = frame.byteLength;
    if (length < ETHERNET_HEADER_LENGTH) return this.drop('tooShort');
    if (length > PACKET_BYTES_MAX) return this.drop('tooLong');
    if (this.patience.isStalled) return this.drop('stalled');
    if (frame instanceof Uint8Array) return this.sendBytes(frame, length);
    if (this.filtersMulticast && !this.passes(frame)) return this.drop('multicastFiltered');
    if (frame.segmentation !== FrameSegmentation.none) {
      // A guest that wants checksums complete cannot cut: each segment needs one of its own.
      if (!this.segmentsItself(frame.segmentation) || !this.takesBlank(frame))
        return this.sendSegments(frame);
    }
    if (length > PAGE_SIZE && !this.guest.scatterGather) return this.drop('scatterGatherMissing');
    if (frame.checksum === FrameChecksum.blank && !this.takesBlank(frame))
      return this.sendCompleted(frame, length);
    return this.sendFrame(frame, length);
  }

  /** Whether the guest takes such a packet as it is. */
  acceptsGranted(frame: GrantedFrame): boolean {
    const { byteLength, segmentation, checksum } = frame;
    if (byteLength < ETHERNET_HEADER_LENGTH || byteLength > PACKET_BYTES_MAX) return false;
    if (byteLength > PAGE_SIZE && !this.guest.scatterGather) return false;
    if (segmentation !== FrameSegmentation.none) {
      if (!this.segmentsItself(segmentation) || checksum !== FrameChecksum.blank) return false;
    }
    return checksum !== FrameChecksum.blank || this.takesBlank(frame.head);
  }

  /** Hands on a packet that lies in another guest's grants, and that {@link acceptsGranted} agreed to. */
  sendGranted(frame: GrantedFrame): boolean {
    if (!this.open) return this.refuse();
    if (this.patience.isStalled) return this.drop('stalled');
    if (this.filtersMulticast && !this.passes(frame.head)) return this.drop('multicastFiltered');
    const { buffers, packet } = this;
    const length = frame.byteLength;
    this.describe(length, checksumFlags(frame.checksum), frame.segmentSize, frame.segmentation);
    if (
      this.backlog.length > 0 ||
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
    this.passTime = -1;
    this.buffers.flush();
  }

  /** The guest posted buffers. */
  onEvent(): void {
    if (this.open && this.wanted > 0) this.look();
  }

  get oldest(): number | undefined {
    return this.backlog.length === 0 ? undefined : this.backlog.oldest;
  }

  expire(deadline: number): void {
    while (this.backlog.length > 0 && this.backlog.oldest <= deadline) {
      this.backlog.drop();
      this.counters.dropped.expired += 1;
    }
    if (this.backlog.length === 0) this.allow();
  }

  /** Places what waits, as far as there are buffers. */
  look(): void {
    if (!this.buffers.hasSlots(this.wanted)) return;
    const { backlog, packet } = this;
    if (backlog.length > 0) this.patience.renew();
    while (backlog.length > 0) {
      backlog.look(packet);
      const pages = pagesOf(packet.length);
      if (!this.buffers.hasRoom(packet.slots, pages)) {
        this.wanted = packet.slots;
        this.buffers.flush();
        return;
      }
      if (packet.slots === 1) this.buffers.placeSingle(backlog.takePage(), 0, packet.length, packet.flags);
      else {
        this.buffers.begin(packet);
        for (let left = packet.length; left > 0; left -= PAGE_SIZE)
          this.buffers.place(backlog.takePage(), 0, left < PAGE_SIZE ? left : PAGE_SIZE);
        this.buffers.end(packet.length);
      }
      backlog.shift();
    }
    this.buffers.flush();
    this.recovered();
  }

  stalled(): void {
    for (; this.backlog.length > 0; this.counters.dropped.stalled += 1) this.backlog.drop();
    this.carrierChanged(false);
  }

  /** Stops for good; packets not placed are dropped. */
  close(): void {
    if (!this.open) return;
    this.open = false;
    for (; this.backlog.length > 0; this.counters.dropped.lostInFlight += 1) this.backlog.drop();
    this.patience.close();
    this.buffers.close();
  }

  private recovered(): void {
    const wasStalled = this.patience.isStalled;
    this.wanted = 0;
    this.patience.end();
    if (wasStalled) this.carrierChanged(true);
    this.allow();
  }

  private allow(): void {
    if (!this.refused) return;
    this.refused = false;
    this.writable$.emit();
  }

  private passes(head: FrameView): boolean {
    return this.multicast.passes(head.uint16(0) * 0x1_0000_0000 + head.uint32(2));
  }

  /** Whether the guest cuts such a packet itself. */
  private segmentsItself(segmentation: FrameSegmentation): boolean {
    if (!this.guest.scatterGather) return false;
    return segmentation === FrameSegmentation.tcpv4 ? this.guest.gsoTcpv4 : this.guest.gsoTcpv6;
  }

  /** Whether the guest completes the checksum itself; finds the headers when that depends on them. */
  private takesBlank(frame: FrameView): boolean {
    const { noChecksumOffload, ipv6ChecksumOffload } = this.guest;
    if (!noChecksumOffload && ipv6ChecksumOffload) return true;
    parseHeaders(frame, this.headers);
    return this.headers.ipVersion === 6 ? ipv6ChecksumOffload : !noChecksumOffload;
  }

  private describe(length: number, flags: number, segmentSize: number, segmentation: number): void {
    this.packet.set(length, flags, segmentSize, segmentation);
    this.packet.hashFirst = this.hashFirst;
    this.packet.hashSecond = this.hashSecond;
  }

  private sendFrame(frame: Frame, length: number): boolean {
    const { buffers, packet } = this;
    const pieces = frame.fragmentCount;
    this.describe(length, checksumFlags(frame.checksum), frame.segmentSize, frame.segmentation);
    if (this.backlog.length > 0 || !buffers.hasRoom(packet.slots, pieces))
      return this.queueFrame(frame, length);
    if (pieces === 1 && packet.slots === 1) {
      const page = frame.fragmentPage(0);
      page.acquire();
      buffers.placeSingle(page, frame.fragmentOffset(0), length, packet.flags);
      if (!this.deferred) this.domain.defer(this);
      return true;
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

  private queueFrame(frame: Frame, length: number): boolean {
    if (!this.takeCopy(length)) return this.refuse();
    this.copy.copyFrame(frame);
    return this.placeCopy();
  }

  private sendBytes(bytes: Uint8Array, length: number): boolean {
    if (length > PAGE_SIZE && !this.guest.scatterGather) return this.drop('scatterGatherMissing');
    if (this.filtersMulticast && !this.multicast.passes(destinationOf(bytes)))
      return this.drop('multicastFiltered');
    if (!this.takeCopy(length)) return this.refuse();
    this.copy.copyBytes(bytes);
    this.describe(length, 0, 0, 0);
    return this.placeCopy();
  }

  /** The guest wants checksums complete: done in a copy, for others may hold the frame too. */
  private sendCompleted(frame: Frame, length: number): boolean {
    if (this.headers.transportOffset === 0) return this.drop('checksumUnknown');
    if (!this.takeCopy(length)) return this.refuse();
    this.copy.copyFrame(frame);
    this.copy.completeChecksum(frame, this.headers);
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
    if (pages > RX_RING.slotCount || pages > this.pool.capacity) return this.drop('segmentationUnknown');
    if (this.pool.available < pages) this.flush();
    if (this.pool.available < pages || !this.backlog.takesAll(segments.count, segments.count * length))
      return this.refuse();
    const complete = !this.takesBlank(frame);
    const flags = checksumFlags(complete ? FrameChecksum.validated : FrameChecksum.blank);
    for (let index = 0; index < segments.count; index += 1) {
      const own = segments.lengthOf(index);
      if (!this.copy.take(this.pool, own)) return this.drop('lostInFlight');
      segments.write(frame, index, this.copy, complete);
      this.describe(own, flags, 0, 0);
      if (!this.placeCopy()) return this.drop('lostInFlight');
    }
    return true;
  }

  /** Pages for a copied packet that the ring or the queue will take, or nothing taken and `false`. */
  private takeCopy(length: number): boolean {
    if (!this.backlog.takes(length)) return false;
    if (this.pool.available < pagesOf(length)) this.flush();
    return this.copy.take(this.pool, length);
  }

  /** Places the packet copied to pages of ours, or lets it wait. */
  private placeCopy(): boolean {
    const { buffers, packet, backlog, copy } = this;
    const { length } = packet;
    const pages = pagesOf(length);
    if (backlog.length === 0 && buffers.hasRoom(packet.slots, pages)) {
      buffers.begin(packet);
      for (let index = 0, left = length; left > 0; index += 1, left -= PAGE_SIZE)
        buffers.place(copy.page(index), 0, left < PAGE_SIZE ? left : PAGE_SIZE);
      buffers.end(length);
    } else if (this.open) {
      if (backlog.length === 0) this.wanted = packet.slots;
      // One look at the clock is good for a whole pass.
      if (this.passTime < 0) this.passTime = this.domain.scheduler.now();
      backlog.add(packet, this.passTime);
      for (let index = 0; index < pages; index += 1) backlog.addPage(copy.page(index));
      this.patience.begin();
    } else {
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
    const page = this.pool.take();
    if (page === undefined) return false;
    this.domain.memory.copy(page, 0, head.area, head.offset, head.byteLength);
    buffers.begin(this.packet);
    buffers.place(page, 0, head.byteLength);
    return true;
  }

  /** A packet that has to wait is copied in: no sender's grants are held for the sake of a slow guest. */
  private queueGranted(frame: GrantedFrame, length: number): boolean {
    if (!this.takeCopy(length)) return this.refuse();
    const isCopied = this.buffers.fetch(frame, this.copy);
    if (frame.fragmentCount > 0) frame.hold().release(isCopied);
    if (isCopied) return this.placeCopy();
    for (let index = 0; index < pagesOf(length); index += 1) this.copy.page(index).release();
    return this.drop('copyFailed');
  }

  private refuse(): false {
    this.counters.sendRefused += 1;
    this.refused = true;
    this.flush();
    return false;
  }

  private drop(reason: keyof NetbackCounters['dropped']): true {
    this.counters.dropped[reason] += 1;
    return true;
  }
}

function destinationOf(bytes: Uint8Array): number {
  let address = 0;
  for (let index = 0; index < 6; index += 1) address = address * 256 + (bytes[index] ?? 0);
  return address;
}
