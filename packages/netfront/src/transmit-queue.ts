import {
  CopiedPacket,
  ETHERNET_HEADER_LENGTH,
  type HotStream,
  PacketHeaders,
  pagesOf,
  parseHeaders,
  TcpSegments,
} from '@netchannel2/frames';
import { DATA_SLOTS_MIN, type ExtraType, type FrontRing, PACKET_BYTES_MAX, TxFlag } from '@netchannel2/netif';
import {
  type DeferredWork,
  type Domain,
  type EventChannelPort,
  type Frame,
  FrameChecksum,
  FrameSegmentation,
  PAGE_SIZE,
} from '@netchannel2/xen';
import type { NetfrontCounters } from './frame-drops';
import type { TransmitBuffers } from './transmit-buffers';
import { TransmitRing } from './transmit-ring';

/** What the backend takes beyond plain packets of one slot. */
export interface TransmitOffer {
  readonly scatterGather: boolean;
  readonly gsoTcpv4: boolean;
  readonly gsoTcpv6: boolean;
  readonly ipv6ChecksumOffload: boolean;
}

/** Room that every packet fits into: all its data slots and one extra. */
const PACKET_SLOTS_MAX = DATA_SLOTS_MIN + 1;

/**
 * The TX ring of a frontend: frames become slot groups, their pages are lent to the backend and come back with the
 * responses. Groups are published and the backend notified once a pass.
 */
export class TransmitQueue implements DeferredWork {
  deferred = false;
  private open = true;
  /** Broken or closed: what the backend wrote is not looked at any more. */
  private halted = false;
  private refused = false;
  private readonly ring: TransmitRing;
  /** Whether pages are sent where they lie. */
  private readonly lends: boolean;
  private readonly copy: CopiedPacket;
  private readonly headers = new PacketHeaders();
  private readonly segments = new TcpSegments();

  constructor(
    private readonly domain: Domain,
    ring: FrontRing,
    private readonly port: EventChannelPort,
    private readonly buffers: TransmitBuffers,
    private readonly offer: TransmitOffer,
    private readonly counters: NetfrontCounters,
    private readonly writable$: HotStream<void>,
    private readonly broken: (reason: string) => void,
  ) {
    this.copy = new CopiedPacket(domain.memory);
    this.lends = buffers.lendsAnyPage;
    this.ring = new TransmitRing(ring, buffers, counters, (reason) => this.fail(reason));
  }

  send(frame: Frame | Uint8Array): boolean {
    if (!this.open) return this.refuse();
    const length = frame.byteLength;
    if (length < ETHERNET_HEADER_LENGTH) return this.drop('tooShort');
    if (length > PACKET_BYTES_MAX) return this.drop('tooLong');
    if (frame instanceof Uint8Array) return this.sendBytes(frame, length);
    // Most frames: one piece, one slot, nothing beside it.
    if (
      this.lends &&
      frame.fragmentCount === 1 &&
      frame.segmentation === FrameSegmentation.none &&
      frame.checksum !== FrameChecksum.blank
    ) {
      if (!this.ring.hasRoom(1)) return this.refuse();
      const page = frame.fragmentPage(0);
      page.acquire();
      const flags = frame.checksum === FrameChecksum.validated ? TxFlag.dataValidated : 0;
      this.ring.put(page, frame.fragmentOffset(0), flags, length, 1);
      return this.accepted(length);
    }
    return this.sendUnusual(frame, length);
  }

  /**
   * Asks the backend to edit its list of multicast addresses, by a request without data and an extra info behind it.
   *
   * @returns `false` when there is no room.
   */
  editMulticast(
    type: typeof ExtraType.multicastAdd | typeof ExtraType.multicastDelete,
    mac: number,
    answered: (accepted: boolean) => void,
  ): boolean {
    if (!this.open || !this.ring.hasRoom(2)) return false;
    this.ring.putMulticast(type, mac, answered);
    this.flush();
    return true;
  }

  /** Makes what was sent so far visible to the backend. */
  flush(): void {
    if (this.open && this.ring.push()) this.domain.events.notify(this.port);
  }

  /** End of a pass in which frames were sent. */
  run(): void {
    this.flush();
  }

  /** The backend answered: takes pages back, and tells who was refused. */
  onEvent(): void {
    if (!this.open) return;
    if (!this.ring.reapAll()) return;
    if (!this.refused || this.ring.free < PACKET_SLOTS_MAX) return;
    if (this.buffers.available < PACKET_SLOTS_MAX - 1) return;
    this.refused = false;
    this.writable$.emit();
  }

  /** Nothing more is sent. */
  stop(): void {
    this.flush();
    this.open = false;
  }

  /** Leaves the ring alone from here on. */
  halt(): void {
    this.open = false;
    this.halted = true;
  }

  /** Takes all pages back; frames not answered are counted as lost. */
  close(): void {
    this.open = false;
    if (!this.halted) {
      this.halted = true;
      this.ring.reap();
    }
    this.ring.close();
  }

  /** Whether the backend cuts such a packet. */
  private isSegmented(segmentation: FrameSegmentation): boolean {
    const { scatterGather, gsoTcpv4, gsoTcpv6, ipv6ChecksumOffload } = this.offer;
    if (!scatterGather) return false;
    return segmentation === FrameSegmentation.tcpv4 ? gsoTcpv4 : gsoTcpv6 && ipv6ChecksumOffload;
  }

  private canLend(frame: Frame): boolean {
    const fragments = frame.fragmentCount;
    if (!this.lends || fragments > (this.offer.scatterGather ? DATA_SLOTS_MIN : 1)) return false;
    return frame.fragmentLength(0) >= ETHERNET_HEADER_LENGTH;
  }

  private sendUnusual(frame: Frame, length: number): boolean {
    const { segmentation } = frame;
    if (segmentation !== FrameSegmentation.none && !this.isSegmented(segmentation)) {
      return this.sendSegments(frame);
    }
    if (frame.checksum === FrameChecksum.blank && !this.offer.ipv6ChecksumOffload) {
      parseHeaders(frame, this.headers);
      if (this.headers.ipVersion === 6) return this.sendCompleted(frame, length);
    }
    return this.canLend(frame) ? this.sendLent(frame, length) : this.sendCopied(frame, length);
  }

  /** Each fragment is a slot; the pages are lent where they lie. */
  private sendLent(frame: Frame, length: number): boolean {
    const count = frame.fragmentCount;
    if (!this.ring.hasRoom(count + (frame.segmentation === FrameSegmentation.none ? 0 : 1)))
      return this.refuse();
    for (let index = 0; index < count; index += 1) {
      const page = frame.fragmentPage(index);
      page.acquire();
      const flags = (index === 0 ? firstFlags(frame) : 0) | (index < count - 1 ? TxFlag.moreData : 0);
      const size = index === 0 ? length : frame.fragmentLength(index);
      this.ring.put(page, frame.fragmentOffset(index), flags, size, index === 0 ? 1 : 0);
      if (index === 0) this.ring.putExtras(frame);
    }
    return this.accepted(length);
  }

  private sendBytes(bytes: Uint8Array, length: number): boolean {
    if (!this.takeCopy(length, 0)) return this.refuseOrDrop(length);
    this.copy.copyBytes(bytes);
    this.writeCopy(length, 0, undefined);
    return this.accepted(length);
  }

  private sendCopied(frame: Frame, length: number): boolean {
    if (!this.takeCopy(length, frame.segmentation === FrameSegmentation.none ? 0 : 1)) {
      return this.refuseOrDrop(length);
    }
    this.copy.copyFrame(frame);
    this.writeCopy(length, firstFlags(frame), frame);
    return this.accepted(length);
  }

  /** The backend would not complete this checksum: it is completed in a copy, for others may hold the frame too. */
  private sendCompleted(frame: Frame, length: number): boolean {
    if (this.headers.transportOffset === 0) return this.drop('checksumUnknown');
    if (!this.takeCopy(length, 0)) return this.refuseOrDrop(length);
    this.copy.copyFrame(frame);
    this.copy.completeChecksum(frame, this.headers);
    this.writeCopy(length, TxFlag.dataValidated, undefined);
    return this.accepted(length);
  }

  /** The backend does not cut packets: each segment is a packet of its own, and all of them go or none. */
  private sendSegments(frame: Frame): boolean {
    const { segments, offer } = this;
    if (!segments.begin(frame)) return this.drop('segmentationUnknown');
    const length = segments.lengthOf(0);
    if (length > PAGE_SIZE && !offer.scatterGather) return this.drop('scatterGatherMissing');
    const pages = segments.count * pagesOf(length);
    if (pages > this.ring.slotCount || pages > this.buffers.capacity) return this.drop('segmentationUnknown');
    if (!this.ring.hasRoom(pages) || (this.buffers.available < pages && !this.ring.reap()))
      return this.refuse();
    if (this.buffers.available < pages) return this.refuse();
    const complete = frame.segmentation === FrameSegmentation.tcpv6 && !offer.ipv6ChecksumOffload;
    const flags = complete ? TxFlag.dataValidated : TxFlag.checksumBlank | TxFlag.dataValidated;
    for (let index = 0; index < segments.count; index += 1) {
      const own = segments.lengthOf(index);
      if (!this.copy.take(this.buffers, own)) return this.refuse();
      segments.write(frame, index, this.copy, complete);
      this.writeCopy(own, flags, undefined);
      this.accepted(own);
    }
    return true;
  }

  /** Slots and pages for a copied frame, or nothing taken and `false`. */
  private takeCopy(length: number, extras: number): boolean {
    const count = pagesOf(length);
    if (count > 1 && !this.offer.scatterGather) return false;
    if (!this.ring.hasRoom(count + extras)) return false;
    if (this.buffers.available < count && !this.ring.reap()) return false;
    return this.copy.take(this.buffers, length);
  }

  private writeCopy(length: number, firstSlotFlags: number, frame: Frame | undefined): void {
    for (let index = 0, left = length; left > 0; index += 1, left -= PAGE_SIZE) {
      const flags = (index === 0 ? firstSlotFlags : 0) | (left > PAGE_SIZE ? TxFlag.moreData : 0);
      const size = index === 0 ? length : left < PAGE_SIZE ? left : PAGE_SIZE;
      this.ring.put(this.copy.page(index), 0, flags, size, index === 0 ? 1 : 0);
      if (index === 0 && frame !== undefined) this.ring.putExtras(frame);
    }
  }

  private accepted(length: number): boolean {
    this.counters.framesSent += 1;
    this.counters.bytesSent += length;
    if (!this.deferred) this.domain.defer(this);
    return true;
  }

  private refuseOrDrop(length: number): boolean {
    if (length > PAGE_SIZE && !this.offer.scatterGather) return this.drop('scatterGatherMissing');
    return this.refuse();
  }

  private refuse(): boolean {
    this.counters.sendRefused += 1;
    this.refused = true;
    this.flush();
    return false;
  }

  private drop(reason: keyof NetfrontCounters['dropped']): boolean {
    this.counters.dropped[reason] += 1;
    return true;
  }

  private fail(reason: string): void {
    this.open = false;
    // What a backend did is of no interest any more once the connection ends.
    if (!this.halted) this.broken(reason);
  }
}

/** Flags of a frame's first slot, without `moreData`. */
function firstFlags(frame: Frame): number {
  const extra = frame.segmentation === FrameSegmentation.none ? 0 : TxFlag.extraInfo;
  switch (frame.checksum) {
    case FrameChecksum.blank:
      return TxFlag.checksumBlank | TxFlag.dataValidated | extra;
    case FrameChecksum.validated:
      return TxFlag.dataValidated | extra;
    default:
      return extra;
  }
}
