import {
  type ExtraType,
  type FrontRing,
  RING_BROKEN,
  TxFlag,
  TxStatus,
  txResponseId,
  txResponseStatus,
  writeGsoExtra,
  writeMulticastExtra,
  writeTxRequest,
} from '@netchannel2/netif';
import { type Frame, FrameSegmentation, type LeasedPage } from '@netchannel2/xen';
import type { NetfrontCounters } from './frame-drops';
import { MulticastEdits } from './multicast-edits';
import type { TransmitBuffers } from './transmit-buffers';

/** The requests of a TX ring: which ids are free, what is written into slots, and what comes back with the answers. */
export class TransmitRing {
  /** By request id: whether it is a frame's first, so that frames are counted rather than slots. */
  private readonly starts: Uint8Array;
  private readonly freeIds: Int32Array;
  private freeIdCount: number;
  private readonly edits = new MulticastEdits();

  constructor(
    private readonly ring: FrontRing,
    private readonly buffers: TransmitBuffers,
    private readonly counters: NetfrontCounters,
    /** Told why, when the backend breaks the protocol. */
    private readonly broken: (reason: string) => void,
  ) {
    this.freeIdCount = ring.slotCount;
    this.starts = new Uint8Array(ring.slotCount);
    this.freeIds = Int32Array.from({ length: ring.slotCount }, (_, index) => ring.slotCount - 1 - index);
  }

  get slotCount(): number {
    return this.ring.slotCount;
  }

  /** Requests that may be written before answers have to be looked for. */
  get free(): number {
    return this.ring.free;
  }

  /** Whether `slots` requests can be written; looks for answers when they cannot. */
  hasRoom(slots: number): boolean {
    if (this.ring.free >= slots && this.freeIdCount >= slots) return true;
    return this.reap() && this.ring.free >= slots && this.freeIdCount >= slots;
  }

  /** Lends a page and writes its request. There is room. */
  put(page: LeasedPage, offset: number, flags: number, size: number, starts: 0 | 1): void {
    const { ring } = this;
    const id = this.takeId();
    this.starts[id] = starts;
    const ref = this.buffers.lend(id, page);
    writeTxRequest(ring.words, ring.slot(ring.requestIndex), ref, offset, flags, id, size);
    ring.requestIndex = (ring.requestIndex + 1) | 0;
  }

  /** Writes the extra info behind a frame's first slot, if it has some. */
  putExtras(frame: Frame): void {
    if (frame.segmentation === FrameSegmentation.none) return;
    const { ring } = this;
    writeGsoExtra(ring.words, ring.slot(ring.requestIndex), frame.segmentSize, frame.segmentation, 0);
    ring.requestIndex = (ring.requestIndex + 1) | 0;
  }

  /** A request without data and an extra info behind it. There is room. */
  putMulticast(
    type: typeof ExtraType.multicastAdd | typeof ExtraType.multicastDelete,
    mac: number,
    answered: (accepted: boolean) => void,
  ): void {
    const { ring } = this;
    const id = this.takeId();
    this.starts[id] = 0;
    this.edits.add(id, answered);
    writeTxRequest(ring.words, ring.slot(ring.requestIndex), 0, 0, TxFlag.extraInfo, id, 0);
    writeMulticastExtra(ring.words, ring.slot((ring.requestIndex + 1) | 0), type, mac, 0);
    ring.requestIndex = (ring.requestIndex + 2) | 0;
  }

  /** Makes what was written visible, grants before requests. Answers whether the backend wants an event for it. */
  push(): boolean {
    this.buffers.publish();
    return this.ring.pushRequests();
  }

  /** As {@link reap}, until the ring would give an event for the next answer. */
  reapAll(): boolean {
    do {
      if (!this.reap()) return false;
    } while (this.ring.finalCheckResponses() !== 0);
    return true;
  }

  /** Consumes all answers and takes pages back. Answers `false` when the backend broke the protocol. */
  reap(): boolean {
    const { ring, buffers } = this;
    let waiting = ring.responses();
    if (waiting === RING_BROKEN) return this.fail('TX response index out of range');
    let isKnown = true;
    for (; waiting > 0 && isKnown; waiting -= 1) {
      const word = ring.words[ring.slot(ring.responseIndex)] as number;
      ring.responseIndex = (ring.responseIndex + 1) | 0;
      const status = txResponseStatus(word);
      if (status === TxStatus.none) continue;
      const id = txResponseId(word);
      isKnown =
        (id < ring.slotCount && buffers.takeBack(id)) || this.edits.answer(id, status === TxStatus.okay);
      if (!isKnown) break;
      this.freeIds[this.freeIdCount] = id;
      this.freeIdCount += 1;
      if (status !== TxStatus.okay && this.starts[id] === 1) this.counters.dropped.refusedByBackend += 1;
    }
    const isFree = buffers.settle();
    if (!isKnown) return this.fail('TX response to a request not made');
    return isFree || this.fail('backend still uses a page it answered');
  }

  /** The connection ended: frames not answered are lost, and all pages come back. */
  close(): void {
    for (let id = 0; id < this.starts.length; id += 1) {
      if (this.starts[id] === 1 && this.buffers.isLent(id)) this.counters.dropped.lostInFlight += 1;
    }
    this.edits.close();
    this.buffers.close();
  }

  private takeId(): number {
    this.freeIdCount -= 1;
    return this.freeIds[this.freeIdCount] as number;
  }

  private fail(reason: string): false {
    this.broken(reason);
    return false;
  }
}
