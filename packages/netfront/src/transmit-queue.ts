import {
  CopiedPacket,
  ETHERNET_HEADER_LENGTH,
  type HotStream,
  PacketHeaders,
  pagesOf,
  parseHeaders,
  TcpSegments,
} from '@netchannel2/frames';
import {
  DATA_SLOTS_MIN,
  type ExtraType,
  type FrontRing,
  PACKET_BYTES_MAX,
  RING_BROKEN,
  TxFlag,
  TxStatus,
  txResponseId,
  txResponseStatus,
  writeGsoExtra,
  writeMulticastExtra,
  writeTxRequest,
} from '@netchannel2/netif';
import {
  type DeferredWork,
  type Domain,
  type EventChannelPort,
  type Frame,
  FrameChecksum,
  FrameSegmentation,
  type LeasedPage,
  PAGE_SIZE,
} from '@netchannel2/xen';
import type { NetfrontCounters } from './frame-drops';
import { MulticastEdits } from './multicast-edits';
import type { TransmitBuffers } from './transmit-buffers';

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
  /** By request id: whether it is a frame's first, so that frames are counted rather than slots. */
  private readonly starts: Uint8Array;
  private readonly freeIds: Int32Array;
  private freeIdCount: number;
  private readonly copy: CopiedPacket;
  private readonly headers = new PacketHeaders();
  private readonly segments = new TcpSegments();
  private readonly edits = new MulticastEdits();

  constructor(
    private readonly domain: Domain,
    private readonly ring: FrontRing,
    private readonly port: EventChannelPort,
    private readonly buffers: TransmitBuffers,
    private readonly offer: TransmitOffer,
    private readonly counters: NetfrontCounters,
    private readonly writable$: HotStream<void>,
    private readonly broken: (reason: string) => void,
  ) {
    this.copy = new CopiedPacket(domain.memory);
    this.freeIdCount = ring.slotCount;
    this.starts = new Uint8Array(ring.slotCount);
    this.freeIds = Int32Array.from({ length: ring.slotCount }, (_, index) => ring.slotCount - 1 - index);
  }

  send(frame: Frame | Uint8Array): boolean {
    if (!this.open) return this.refuse();
    const length = frame.byteLength;
    if (length < ETHERNET_HEADER_LENGTH) return this.drop('tooShort');
    if (length > PACKET_BYTES_MAX) return this.drop('tooLong');
    if (frame instanceof Uint8Array) return this.sendBytes(frame, length);
    const segmentation = frame.segmentation;
    if (segmentation !== FrameSegmentation.none && !this.isSegmented(segmentation)) {
      return this.sendSegments(frame);
    }
    if (frame.checksum === FrameChecksum.blank && !this.offer.ipv6ChecksumOffload) {
      parseHeaders(frame, this.headers);
      if (this.headers.ipVersion === 6) return this.sendCompleted(frame, length);
    }
    if (!this.canLend(frame)) return this.sendCopied(frame, length);
    return frame.fragmentCount === 1 && segmentation === FrameSegmentation.none
      ? this.sendSingle(frame, length)
      : this.sendLent(frame, length);
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
    if (!this.open || !this.hasRoom(2)) return false;
    const { ring } = this;
    this.freeIdCount -= 1;
    const id = this.freeIds[this.freeIdCount] ?? 0;
    this.starts[id] = 0;
    this.edits.add(id, answered);
    writeTxRequest(ring.words, ring.slot(ring.requestIndex), 0, 0, TxFlag.extraInfo, id, 0);
    writeMulticastExtra(ring.words, ring.slot((ring.requestIndex + 1) | 0), type, mac, 0);
    ring.requestIndex = (ring.requestIndex + 2) | 0;
    this.flush();
    return true;
  }

  /** Makes what was sent so far visible to the backend. */
  flush(): void {
    if (this.open && this.ring.pushRequests()) this.domain.events.notify(this.port);
  }

  /** End of a pass in which frames were sent. */
  run(): void {
    this.flush();
  }

  /** The backend answered: takes pages back, and tells who was refused. */
  onEvent(): void {
    if (!this.open) return;
    do {
      if (!this.reap()) return;
    } while (this.ring.finalCheckResponses() !== 0);
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
      this.reap();
    }
    for (let id = 0; id < this.starts.length; id += 1) {
      if (this.starts[id] === 1 && this.buffers.isLent(id)) this.counters.dropped.lostInFlight += 1;
    }
    this.edits.close();
    this.buffers.close();
  }

  /** Whether the backend cuts such a packet. */
  private isSegmented(segmentation: FrameSegmentation): boolean {
    const { scatterGather, gsoTcpv4, gsoTcpv6, ipv6ChecksumOffload } = this.offer;
    if (!scatterGather) return false;
    return segmentation === FrameSegmentation.tcpv4 ? gsoTcpv4 : gsoTcpv6 && ipv6ChecksumOffload;
  }

  private canLend(frame: Frame): boolean {
    const fragments = frame.fragmentCount;
    if (!this.buffers.lendsAnyPage || fragments > (this.offer.scatterGather ? DATA_SLOTS_MIN : 1))
      return false;
    return frame.fragmentLength(0) >= ETHERNET_HEADER_LENGTH;
  }

  /** Most frames: one piece, one slot, nothing beside it. */
  private sendSingle(frame: Frame, length: number): boolean {
    if (!this.hasRoom(1)) return this.refuse();
    const page = frame.fragmentPage(0);
    page.acquire();
    this.writeSlot(page, frame.fragmentOffset(0), firstFlags(frame), length, 1);
    return this.accepted(length);
  }

  /** Each fragment is a slot; the pages are lent where they lie. */
  private sendLent(frame: Frame, length: number): boolean {
    const count = frame.fragmentCount;
    if (!this.hasRoom(count + (frame.segmentation === FrameSegmentation.none ? 0 : 1))) return this.refuse();
    for (let index = 0; index < count; index += 1) {
      const page = frame.fragmentPage(index);
      page.acquire();
      const flags = (index === 0 ? firstFlags(frame) : 0) | (index < count - 1 ? TxFlag.moreData : 0);
      const size = index === 0 ? length : frame.fragmentLength(index);
      this.writeSlot(page, frame.fragmentOffset(index), flags, size, index === 0 ? 1 : 0);
      if (index === 0) this.writeExtras(frame);
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
    if (!this.hasRoom(pages) || (this.buffers.available < pages && !this.reap())) return this.refuse();
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
    if (!this.hasRoom(count + extras)) return false;
    if (this.buffers.available < count && !this.reap()) return false;
    return this.copy.take(this.buffers, length);
  }

  private writeCopy(length: number, firstSlotFlags: number, frame: Frame | undefined): void {
    for (let index = 0, left = length; left > 0; index += 1, left -= PAGE_SIZE) {
      const flags = (index === 0 ? firstSlotFlags : 0) | (left > PAGE_SIZE ? TxFlag.moreData : 0);
      const size = index === 0 ? length : left < PAGE_SIZE ? left : PAGE_SIZE;
      this.writeSlot(this.copy.page(index), 0, flags, size, index === 0 ? 1 : 0);
      if (index === 0 && frame !== undefined) this.writeExtras(frame);
    }
  }

  private writeSlot(page: LeasedPage, offset: number, flags: number, size: number, starts: 0 | 1): void {
    const ring = this.ring;
    this.freeIdCount -= 1;
    const id = this.freeIds[this.freeIdCount] ?? 0;
    this.starts[id] = starts;
    const ref = this.buffers.lend(id, page);
    writeTxRequest(ring.words, ring.slot(ring.requestIndex), ref, offset, flags, id, size);
    ring.requestIndex = (ring.requestIndex + 1) | 0;
  }

  private writeExtras(frame: Frame): void {
    if (frame.segmentation === FrameSegmentation.none) return;
    const ring = this.ring;
    writeGsoExtra(ring.words, ring.slot(ring.requestIndex), frame.segmentSize, frame.segmentation, 0);
    ring.requestIndex = (ring.requestIndex + 1) | 0;
  }

  private hasRoom(slots: number): boolean {
    if (this.ring.free >= slots && this.freeIdCount >= slots) return true;
    return this.reap() && this.ring.free >= slots && this.freeIdCount >= slots;
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

  /** Consumes all responses. Answers `false` when the backend broke the protocol. */
  private reap(): boolean {
    const ring = this.ring;
    let waiting = ring.responses();
    if (waiting === RING_BROKEN) return this.fail('TX response index out of range');
    while (waiting > 0) {
      const word = ring.words[ring.slot(ring.responseIndex)] ?? 0;
      ring.responseIndex = (ring.responseIndex + 1) | 0;
      waiting -= 1;
      const status = txResponseStatus(word);
      if (status === TxStatus.none) continue;
      const id = txResponseId(word);
      if (id >= ring.slotCount || !this.buffers.isLent(id)) {
        if (!this.edits.answer(id, status === TxStatus.okay))
          return this.fail('TX response to a request not made');
      } else if (!this.buffers.takeBack(id)) return this.fail('backend still uses a page it answered');
      this.freeIds[this.freeIdCount] = id;
      this.freeIdCount += 1;
      if (status !== TxStatus.okay && this.starts[id] === 1) this.counters.dropped.refusedByBackend += 1;
    }
    return true;
  }

  private fail(reason: string): false {
    this.open = false;
    // What a backend did is of no interest any more once the connection ends.
    if (!this.halted) this.broken(reason);
    return false;
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
