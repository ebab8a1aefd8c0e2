import { ETHERNET_HEADER_LENGTH, FrameCursor, type HotStream } from '@netchannel2/frames';
import {
  type FrontRing,
  RING_BROKEN,
  RxFlag,
  RxSlotGroup,
  rxResponseFlags,
  rxResponseOffset,
  rxResponseStatus,
  writeRxRequest,
} from '@netchannel2/netif';
import {
  type DeferredWork,
  type Domain,
  type EventChannelPort,
  type Frame,
  FrameChecksum,
  type FrameSegmentation,
  type LeasedPage,
  NO_GRANT_REF,
  PAGE_SIZE,
} from '@netchannel2/xen';
import type { NetfrontCounters } from './frame-drops';
import type { PostedBuffers } from './posted-buffers';

/** Packets taken in one pass, so that one busy device does not hold up the others. */
const PASS_PACKETS = 64;
/** Flags of a packet's only slot that ask for nothing beyond it. */
const SINGLE_FLAGS = RxFlag.checksumBlank | RxFlag.dataValidated;
/** Milliseconds between looks for a free page while none could be posted because subscribers retain them all. */
const STARVED_INTERVAL = 1;

/** The RX ring of a frontend: keeps buffers posted, and emits what the backend put into them. */
export class ReceiveQueue implements DeferredWork {
  deferred = false;
  private open = true;
  private starved = false;
  private readonly group = new RxSlotGroup();
  private readonly cursor = new FrameCursor();
  private readonly mask: number;
  private readonly pages: (LeasedPage | undefined)[];

  constructor(
    private readonly domain: Domain,
    private readonly ring: FrontRing,
    private readonly port: EventChannelPort,
    private readonly buffers: PostedBuffers,
    private readonly posted: number,
    private readonly counters: NetfrontCounters,
    private readonly frames$: HotStream<Frame>,
    private readonly broken: (reason: string) => void,
  ) {
    this.mask = ring.slotCount - 1;
    this.pages = Array.from({ length: ring.slotCount }, () => undefined);
  }

  /** Posts as many buffers as there should be. */
  fill(): void {
    const ring = this.ring;
    let out = (ring.requestIndex - ring.responseIndex) >>> 0;
    while (out < this.posted) {
      const slot = ring.requestIndex & this.mask;
      const ref = this.buffers.post(slot);
      if (ref === NO_GRANT_REF) break;
      writeRxRequest(ring.words, ring.slot(ring.requestIndex), slot, ref);
      ring.requestIndex = (ring.requestIndex + 1) | 0;
      out += 1;
    }
    this.buffers.publish();
    if (ring.pushRequests()) this.domain.events.notify(this.port);
    if (out < this.posted) this.lookAgain();
  }

  onEvent(): void {
    if (!this.deferred) this.run();
  }

  /** One pass: at most {@link PASS_PACKETS} packets, then buffers are posted anew. */
  run(): void {
    if (!this.open) return;
    const ring = this.ring;
    let waiting = ring.responses();
    // What was answered is the guest's again: one call for as many as this pass is sure to take.
    if (waiting > 0)
      this.buffers.withdraw(ring.responseIndex & this.mask, waiting < PASS_PACKETS ? waiting : PASS_PACKETS);
    for (let packets = 0; waiting > 0 && packets < PASS_PACKETS; packets += 1) {
      if (this.takeSingle()) {
        if (!this.open) return;
        waiting -= 1;
        continue;
      }
      this.group.take(ring, waiting);
      waiting -= this.group.slotCount;
      if (!this.takePacket()) return;
    }
    if (waiting !== RING_BROKEN) {
      this.fill();
      if (waiting === 0) waiting = ring.finalCheckResponses();
    }
    if (waiting === RING_BROKEN) this.fail('RX response index out of range');
    else if (waiting > 0 && !this.deferred) this.domain.defer(this);
  }

  /** Leaves the ring alone from here on. */
  halt(): void {
    this.open = false;
  }

  /** Takes all buffers back; frames that came and were not emitted are counted as lost. */
  close(): void {
    if (this.open) {
      this.open = false;
      this.countUnread();
    }
    this.buffers.close();
  }

  private countUnread(): void {
    let waiting = this.ring.responses();
    while (waiting > 0) {
      this.group.take(this.ring, waiting);
      waiting -= this.group.slotCount;
      this.counters.dropped.lostInFlight += 1;
    }
  }

  /** Takes the next packet if it fills one slot and has no extra info, as most do; anything else is left, unjudged. */
  private takeSingle(): boolean {
    const { ring, cursor, counters } = this;
    const index = ring.responseIndex;
    const at = ring.slot(index);
    // One read per word.
    const offset = rxResponseOffset(ring.words[at] as number);
    const second = ring.words[at + 1] as number;
    const flags = rxResponseFlags(second);
    const size = rxResponseStatus(second);
    if ((flags & ~SINGLE_FLAGS) !== 0 || size < ETHERNET_HEADER_LENGTH || offset + size > PAGE_SIZE)
      return false;
    ring.responseIndex = (index + 1) | 0;
    const page = this.buffers.collect(index & this.mask);
    if (page === undefined) {
      this.fail('backend still uses a buffer it answered');
      return true;
    }
    if (this.frames$.observed) {
      cursor.addFragment(page, offset, size);
      if ((flags & RxFlag.checksumBlank) !== 0) cursor.checksum = FrameChecksum.blank;
      else if (flags !== 0) cursor.checksum = FrameChecksum.validated;
      counters.framesReceived += 1;
      counters.bytesReceived += size;
      this.frames$.emit(cursor);
      cursor.end();
    } else counters.dropped.noSubscriber += 1;
    page.release();
    return true;
  }

  /** Answers whether the device is still in order and open. */
  private takePacket(): boolean {
    const group = this.group;
    const first = group.start & this.mask;
    let inUse = false;
    for (let index = 0; index < group.slotCount; index += 1) {
      const slot = (first + index) & this.mask;
      const page = this.buffers.collect(slot);
      this.pages[slot] = page;
      if (page === undefined) inUse = true;
    }
    if (inUse) this.fail('backend still uses a buffer it answered');
    else if (group.fault !== 'none' || group.total < ETHERNET_HEADER_LENGTH) {
      this.counters.dropped.receiveError += 1;
    } else if (this.frames$.observed) this.emit();
    else this.counters.dropped.noSubscriber += 1;
    for (let index = 0; index < group.slotCount; index += 1) {
      const slot = (first + index) & this.mask;
      this.pages[slot]?.release();
      this.pages[slot] = undefined;
    }
    return this.open;
  }

  private emit(): void {
    const { group, cursor } = this;
    for (let index = 0; index < group.dataCount; index += 1) {
      const size = group.sizes[index] ?? 0;
      const page = this.pages[(group.indices[index] ?? 0) & this.mask];
      if (page !== undefined && size > 0) cursor.addFragment(page, group.offsets[index] ?? 0, size);
    }
    if ((group.flags & RxFlag.checksumBlank) !== 0) cursor.checksum = FrameChecksum.blank;
    else if ((group.flags & RxFlag.dataValidated) !== 0) cursor.checksum = FrameChecksum.validated;
    if (group.gsoSize > 0) {
      // The wire's segmentation types are the frame's.
      cursor.segmentation = group.gsoType as FrameSegmentation;
      cursor.segmentSize = group.gsoSize;
    }
    this.counters.framesReceived += 1;
    this.counters.bytesReceived += group.total;
    this.frames$.emit(cursor);
    cursor.end();
  }

  /** The pool has no event for a page that came back; only a starved ring looks for one. */
  private lookAgain(): void {
    if (this.starved) return;
    this.starved = true;
    this.domain.scheduler.schedule(() => {
      this.starved = false;
      if (this.open) this.fill();
    }, STARVED_INTERVAL);
  }

  private fail(reason: string): void {
    this.open = false;
    this.broken(reason);
  }
}
