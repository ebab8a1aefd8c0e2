import type { BackRing } from './back-ring';
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
import { ETHERNET_HEADER_BYTES, FRAGMENTS_ACCEPTED, FRAGMENTS_READ } from './limits';
import {
  copyTxRequest,
  TX_REQUEST_WORDS,
  TxFlag,
  txRequestFlags,
  txRequestGref,
  txRequestId,
  txRequestOffset,
  txRequestSize,
} from './tx-slot';

/** What a slot group on the TX ring turned out to be, and what the backend does with it. */
export const TxVerdict = {
  /** A packet: copy `dataCount` pieces, then respond OKAY to each data slot (ERROR where a copy failed). */
  packet: 0,
  /** A packet that breaks a rule the sender may break: respond ERROR to each data slot. */
  dropped: 1,
  /** A request to edit the multicast list: carries no data; respond OKAY or ERROR to the first slot. */
  multicast: 2,
  /** The frontend broke the protocol: disable the device, respond to nothing. */
  fatal: 3,
} as const;
export type TxVerdict = (typeof TxVerdict)[keyof typeof TxVerdict];

/** Why a group was dropped or fatal, for error nodes and counters. */
export type TxFault =
  | 'none'
  | 'extra info missing'
  | 'unknown extra info type'
  | 'incomplete packet'
  | 'too many fragments'
  | 'fragments exceed the packet length'
  | 'first fragment shorter than an Ethernet header'
  | 'data crosses the page border'
  | 'segment size 0 or unknown segmentation type';

const PAGE = 4096;

/**
 * Takes one slot group off a TX ring (spec vif.md §2). Every slot is copied once and judged from the copy. Used as
 *
 * 1. `begin`: copies the first slot; nothing is consumed yet, so a rate limit may stop here;
 * 2. `finish`: consumes the whole group and answers the verdict.
 *
 * One object per queue, reused for every packet. It never throws and never loops longer than a group may be.
 */
export class TxSlotGroup {
  /** Length of the packet as the first slot states it, before it was checked. */
  total = 0;
  /** TX flags of the first slot. */
  flags = 0;
  fault: TxFault = 'none';
  /** Data slots of the group, the first one included: those to be answered by id. */
  dataCount = 0;
  /** Extra slots: each is answered by a NULL response behind the first slot's response. */
  extraCount = 0;
  /** Segment payload of a GSO extra, 0 without one. */
  gsoSize = 0;
  /** {@link GsoType}, 0 without a GSO extra. */
  gsoType = 0;
  /** {@link ExtraType.multicastAdd} or `multicastDelete` with verdict `multicast`. */
  multicastType = 0;
  multicastFirst = 0;
  multicastSecond = 0;
  /** Hash extra as sent, both words 0 without one. */
  hashFirst = 0;
  hashSecond = 0;
  /** Per data slot; entries from `dataCount` on are stale. Grefs are the signed view of the u32. */
  readonly ids = new Uint16Array(FRAGMENTS_READ + 1);
  readonly grefs = new Int32Array(FRAGMENTS_READ + 1);
  readonly offsets = new Uint16Array(FRAGMENTS_READ + 1);
  readonly sizes = new Uint16Array(FRAGMENTS_READ + 1);

  private readonly copy = new Int32Array(TX_REQUEST_WORDS);
  private gsoSeen = false;

  /** Copies the first slot of the next group. The caller saw at least one unconsumed request. */
  begin(ring: BackRing): void {
    const { words } = ring;
    const at = ring.slot(ring.requestIndex);
    // One read per word; nothing of the slot is looked at again.
    const gref = words[at] as number;
    const second = words[at + 1] as number;
    const third = words[at + 2] as number;
    const total = third >>> 16;
    this.total = total;
    this.flags = second >>> 16;
    this.ids[0] = third;
    this.grefs[0] = gref;
    this.offsets[0] = second;
    this.sizes[0] = total;
    this.dataCount = 1;
    if (this.extraCount !== 0) this.forgetExtras();
    this.fault = 'none';
  }

  private forgetExtras(): void {
    this.extraCount = 0;
    this.gsoSize = 0;
    this.gsoType = 0;
    this.multicastType = 0;
    this.hashFirst = 0;
    this.hashSecond = 0;
  }

  /** Consumes the group that `begin` looked at. */
  finish(ring: BackRing): TxVerdict {
    ring.requestIndex = (ring.requestIndex + 1) | 0;
    let hasGso = false;
    if ((this.flags & TxFlag.extraInfo) !== 0) {
      if (!this.takeExtras(ring)) return TxVerdict.fatal;
      if (this.multicastType !== 0) return TxVerdict.multicast;
      hasGso = this.gsoSeen;
    }
    let own = this.total;
    if ((this.flags & TxFlag.moreData) !== 0) {
      own = this.takeFragments(ring);
      if (own === FATAL) return TxVerdict.fatal;
      if (own === DROPPED) return TxVerdict.dropped;
    }
    if (own < ETHERNET_HEADER_BYTES) {
      this.fault = 'first fragment shorter than an Ethernet header';
      return TxVerdict.dropped;
    }
    if ((this.offsets[0] ?? 0) + own > PAGE) {
      this.fault = 'data crosses the page border';
      return TxVerdict.fatal;
    }
    if (
      hasGso &&
      (this.gsoSize === 0 || (this.gsoType !== GsoType.tcpv4 && this.gsoType !== GsoType.tcpv6))
    ) {
      this.fault = 'segment size 0 or unknown segmentation type';
      return TxVerdict.fatal;
    }
    this.sizes[0] = own;
    return TxVerdict.packet;
  }

  /** A type may come twice; the later one counts. */
  private takeExtras(ring: BackRing): boolean {
    this.gsoSeen = false;
    let more = true;
    while (more) {
      if (ring.unconsumed === 0) {
        this.fault = 'extra info missing';
        return false;
      }
      const at = ring.slot(ring.requestIndex);
      const first = ring.words[at] ?? 0;
      const second = ring.words[at + 1] ?? 0;
      ring.requestIndex = (ring.requestIndex + 1) | 0;
      this.extraCount += 1;
      const type = extraType(first);
      if (!isExtraType(type)) {
        this.fault = 'unknown extra info type';
        return false;
      }
      this.keepExtra(type, first, second);
      more = (extraFlags(first) & EXTRA_MORE) !== 0;
    }
    return true;
  }

  private keepExtra(type: number, first: number, second: number): void {
    switch (type) {
      case ExtraType.gso:
        this.gsoSeen = true;
        this.gsoSize = gsoSize(first);
        this.gsoType = gsoType(second);
        break;
      case ExtraType.multicastDelete:
        if (this.multicastType === ExtraType.multicastAdd) break;
        this.keepMulticast(type, first, second);
        break;
      case ExtraType.multicastAdd:
        this.keepMulticast(type, first, second);
        break;
      case ExtraType.hash:
        this.hashFirst = first;
        this.hashSecond = second;
        break;
    }
  }

  private keepMulticast(type: number, first: number, second: number): void {
    this.multicastType = type;
    this.multicastFirst = first;
    this.multicastSecond = second;
  }

  /** Consumes the fragments; answers the first slot's own length, {@link DROPPED} or {@link FATAL}. */
  private takeFragments(ring: BackRing): number {
    const copy = this.copy;
    let remaining = this.total;
    let dropped = false;
    let more = true;
    while (more) {
      const seen = this.dataCount - 1;
      if (ring.unconsumed === 0) return this.fatal('incomplete packet');
      if (seen >= FRAGMENTS_READ) return this.fatal('too many fragments');
      if (seen >= FRAGMENTS_ACCEPTED) {
        dropped = true;
        this.fault = 'too many fragments';
      }
      copyTxRequest(ring.words, ring.slot(ring.requestIndex), copy, 0);
      ring.requestIndex = (ring.requestIndex + 1) | 0;
      const index = this.dataCount;
      const offset = txRequestOffset(copy, 0);
      const size = txRequestSize(copy, 0);
      this.ids[index] = txRequestId(copy, 0);
      this.grefs[index] = txRequestGref(copy, 0);
      this.offsets[index] = offset;
      this.sizes[index] = size;
      this.dataCount = index + 1;
      if (size > remaining && !dropped) {
        dropped = true;
        this.fault = 'fragments exceed the packet length';
      }
      if (!dropped) remaining -= size;
      if (offset + size > PAGE) return this.fatal('data crosses the page border');
      more = (txRequestFlags(copy, 0) & TxFlag.moreData) !== 0;
    }
    return dropped ? DROPPED : remaining;
  }

  private fatal(fault: TxFault): number {
    this.fault = fault;
    return FATAL;
  }
}

const DROPPED = -1;
const FATAL = -2;
