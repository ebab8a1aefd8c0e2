import {
  EXTRA_MORE,
  ExtraType,
  extraFlags,
  extraType,
  GsoType,
  gsoSize,
  gsoType,
  isExtraType,
} from './extra-info';
import type { FrontRing } from './front-ring';
import { PACKET_BYTES_MAX, RX_DATA_SLOTS_MAX } from './limits';
import { RxFlag, rxResponseFlags, rxResponseOffset, rxResponseStatus } from './rx-slot';

/** Why a packet of the backend was not put together, `none` when it was. */
export type RxFault =
  | 'none'
  | 'backend reported an error'
  | 'data crosses the page border'
  | 'slots missing'
  | 'extra info malformed'
  | 'packet too long';

const PAGE = 4096;

/**
 * Takes one packet's responses off an RX ring (spec vif.md §3, §11). All slots of a packet are consumed whether it is whole
 * or not, so that their buffers can be posted again. One object per queue; it never throws and each slot is read once.
 */
export class RxSlotGroup {
  fault: RxFault = 'none';
  /** First response index of the group. */
  start = 0;
  /** Slots consumed, extras included. */
  slotCount = 0;
  /** Slots that hold data. */
  dataCount = 0;
  /** Bytes of the packet. */
  total = 0;
  /** RX flags of the first slot. */
  flags = 0;
  /** Segment payload of a GSO extra, 0 without one. */
  gsoSize = 0;
  gsoType = 0;
  /** Hash extra as sent, both words 0 without one. */
  hashFirst = 0;
  hashSecond = 0;
  /** Per data slot: the response index, and where its bytes lie in its buffer. */
  readonly indices = new Int32Array(RX_DATA_SLOTS_MAX);
  readonly offsets = new Uint16Array(RX_DATA_SLOTS_MAX);
  readonly sizes = new Uint16Array(RX_DATA_SLOTS_MAX);

  /** @param waiting responses that are visible and unconsumed, at least 1. */
  take(ring: FrontRing, waiting: number): void {
    this.fault = 'none';
    this.start = ring.responseIndex;
    this.dataCount = 0;
    this.total = 0;
    this.gsoSize = 0;
    this.gsoType = 0;
    this.hashFirst = 0;
    this.hashSecond = 0;
    const end = (ring.responseIndex + waiting) | 0;
    this.flags = this.takeData(ring);
    let flags = this.flags;
    if ((flags & RxFlag.extraInfo) !== 0) this.takeExtras(ring, end);
    while ((flags & RxFlag.moreData) !== 0) {
      if (ring.responseIndex === end) {
        this.blame('slots missing');
        break;
      }
      flags = this.takeData(ring);
    }
    this.slotCount = (ring.responseIndex - this.start) >>> 0;
  }

  private takeData(ring: FrontRing): number {
    const index = ring.responseIndex;
    const at = ring.slot(index);
    const first = ring.words[at] ?? 0;
    const second = ring.words[at + 1] ?? 0;
    ring.responseIndex = (index + 1) | 0;
    const offset = rxResponseOffset(first);
    const status = rxResponseStatus(second);
    if (status < 0) this.blame('backend reported an error');
    else if (offset + status > PAGE) this.blame('data crosses the page border');
    else if (this.dataCount === RX_DATA_SLOTS_MAX || this.total + status > PACKET_BYTES_MAX) {
      this.blame('packet too long');
    } else {
      this.indices[this.dataCount] = index;
      this.offsets[this.dataCount] = offset;
      this.sizes[this.dataCount] = status;
      this.dataCount += 1;
      this.total += status;
    }
    return rxResponseFlags(second);
  }

  private takeExtras(ring: FrontRing, end: number): void {
    let more = true;
    while (more) {
      if (ring.responseIndex === end) {
        this.blame('slots missing');
        return;
      }
      const at = ring.slot(ring.responseIndex);
      const first = ring.words[at] ?? 0;
      const second = ring.words[at + 1] ?? 0;
      ring.responseIndex = (ring.responseIndex + 1) | 0;
      const type = extraType(first);
      if (!isExtraType(type)) this.blame('extra info malformed');
      else if (type === ExtraType.gso) this.keepGso(first, second);
      else if (type === ExtraType.hash) {
        this.hashFirst = first;
        this.hashSecond = second;
      }
      more = (extraFlags(first) & EXTRA_MORE) !== 0;
    }
  }

  private keepGso(first: number, second: number): void {
    this.gsoSize = gsoSize(first);
    this.gsoType = gsoType(second);
    const known = this.gsoType === GsoType.tcpv4 || this.gsoType === GsoType.tcpv6;
    if (this.gsoSize === 0 || !known) this.blame('extra info malformed');
  }

  /** The first fault of a packet names it. */
  private blame(fault: RxFault): void {
    if (this.fault === 'none') this.fault = fault;
  }
}
