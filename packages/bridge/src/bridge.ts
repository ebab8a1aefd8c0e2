import { ETHERNET_HEADER_LENGTH } from '@netchannel2/frames';
import type { Frame, FramePort, FrameView, GrantedFrame } from '@netchannel2/xen';
import createDebug from 'debug';
import { asyncScheduler, type SchedulerLike } from 'rxjs';
import { type BridgePort, PortRecord } from './bridge-port';
import { BurstClock } from './burst-clock';
import { ForwardingWay } from './forwarding-way';
import { MacTable, NO_PORT } from './mac-table';

const debug = createDebug('netchannel2:bridge');

/** Slow protocols, spanning tree and the like, `01:80:c2:00:00:00` … `0f`, end at a bridge (IEEE 802.1Q §8.6.3). */
const LINK_LOCAL_HIGH = 0x0180;
const LINK_LOCAL_LOW = 0xc2000000;

/** A packet to more ports than this is copied once rather than granted to each (spec vif2.md §4.4). */
const MOST_GRANTED_COPIES = 4;

export interface BridgeOptions {
  /** Shown in messages, default `bridge`. */
  readonly name?: string;
  /** Clock of the ageing; nothing is ever scheduled on it. Default `asyncScheduler`. */
  readonly scheduler?: SchedulerLike;
  /** Milliseconds until an address that is not seen again is forgotten, default 300 000. */
  readonly ageing?: number;
  /** Addresses known at most, default 4096. */
  readonly capacity?: number;
  /** Addresses learned at most from one port, default a quarter of the capacity. */
  readonly addressesPerPort?: number;
  /** Of the address table's hash, default 0. */
  readonly seed?: number;
}

/** A known address, for people to look at. */
export interface BridgeAddress {
  /** `xx:xx:xx:xx:xx:xx` */
  readonly mac: string;
  readonly port: FramePort;
  /** Milliseconds since a frame came from it. */
  readonly age: number;
}

/**
 * A learning Ethernet bridge over frame ports. A frame goes to the port its destination was last seen on, or, unknown,
 * broadcast or multicast, to all ports but the one it came from. A port without room loses the frame, and counts it: the
 * bridge queues nothing.
 *
 * Between backends that can forward, packets are handed on in their sender's grants: the bridge decides by their first
 * bytes and moves no payload.
 */
export class Bridge {
  readonly name: string;
  private readonly clock: BurstClock;
  private readonly table: MacTable;
  /** By number, with holes; addresses name ports by it. */
  private readonly byNumber: (PortRecord | undefined)[] = [];
  /** Replaced, never changed: a flood under way keeps the list it began with. */
  private members: readonly PortRecord[] = [];

  /** @throws RangeError when an option is out of its range. */
  constructor(options: BridgeOptions = {}) {
    const capacity = options.capacity ?? 4096;
    const addressesPerPort = options.addressesPerPort ?? Math.max(1, capacity >> 2);
    const ageing = options.ageing ?? 300_000;
    if (!Number.isInteger(capacity) || capacity < 1 || capacity > 1 << 20)
      throw new RangeError(`bridge option capacity is ${capacity}: give a whole number from 1 to ${1 << 20}`);
    if (!Number.isInteger(addressesPerPort) || addressesPerPort < 1)
      throw new RangeError(
        `bridge option addressesPerPort is ${addressesPerPort}: give a whole number from 1`,
      );
    if (!(ageing >= 0)) throw new RangeError(`bridge option ageing is ${ageing}: give milliseconds from 0`);
    this.name = options.name ?? 'bridge';
    this.clock = new BurstClock(options.scheduler ?? asyncScheduler);
    this.table = new MacTable({ capacity, addressesPerPort, ageing, seed: options.seed ?? 0 });
  }

  get ports(): readonly BridgePort[] {
    return this.members;
  }

  /**
   * Puts a port on the bridge. It leaves by {@link remove}, or by itself when its frames end.
   *
   * @throws Error when the port is on this bridge already.
   */
  add(port: FramePort): BridgePort {
    if (this.recordOf(port) !== undefined) throw new Error(`${port.name} is on ${this.name} already`);
    const hole = this.byNumber.indexOf(undefined);
    const number = hole < 0 ? this.byNumber.length : hole;
    const record = new PortRecord(port, number);
    this.byNumber[number] = record;
    this.members = [...this.members, record];
    record.subscription = port.frames$.subscribe({
      next: (frame) => this.forward(record, frame),
      error: (error: unknown) => {
        debug('%s: %s failed and is taken off: %o', this.name, port.name, error);
        this.detach(record);
      },
      complete: () => this.detach(record),
    });
    // A port that ended while it was being added has left before its subscription was known.
    if (this.byNumber[number] !== record) record.subscription.unsubscribe();
    else record.divert(this.forwardGranted, new ForwardingWay(record, this.table, this.clock));
    return record;
  }

  /** Takes a port off and forgets its addresses. @returns false when it was not on the bridge. */
  remove(port: FramePort): boolean {
    const record = this.recordOf(port);
    if (record === undefined) return false;
    this.detach(record);
    return true;
  }

  /** Forgets learned addresses, of one port or all: frames to them are flooded until they are seen again. */
  forget(port?: FramePort): void {
    const record = port === undefined ? undefined : this.recordOf(port);
    if (port === undefined) this.table.forget();
    else if (record !== undefined) this.table.forget(record.number);
  }

  /** The addresses known now. */
  addresses(): BridgeAddress[] {
    const found: BridgeAddress[] = [];
    this.table.forEach(this.clock.now(), (high, low, number, age) => {
      const record = this.byNumber[number];
      if (record !== undefined) found.push({ mac: formatAddress(high, low), port: record.port, age });
    });
    return found;
  }

  /** Takes all ports off. */
  close(): void {
    for (const record of this.members) this.detach(record);
  }

  private recordOf(port: FramePort): PortRecord | undefined {
    return this.members.find((record) => record.port === port);
  }

  private detach(record: PortRecord): void {
    if (this.byNumber[record.number] !== record) return;
    this.byNumber[record.number] = undefined;
    this.members = this.members.filter((other) => other !== record);
    this.table.forget(record.number);
    record.end();
  }

  private forward(from: PortRecord, frame: Frame): void {
    const length = frame.byteLength;
    from.framesIn += 1;
    from.bytesIn += length;
    if (!isForwardable(frame)) {
      from.invalid += 1;
      return;
    }
    const now = this.clock.now();
    this.learn(from, frame, now);
    const to = this.destination(from, frame, now);
    if (to === undefined) this.flood(from, frame, length);
    else if (to === from) from.filtered += 1;
    else deliver(to, frame, length);
  }

  /**
   * Hands a packet on in its sender's grants if every port it goes to can. Otherwise nothing is done: it is copied in,
   * once, and comes by {@link forward}.
   */
  private readonly forwardGranted = (from: PortRecord, granted: GrantedFrame): boolean => {
    const { head } = granted;
    from.forwardedTo = undefined;
    if (!isForwardable(head)) return false;
    const now = this.clock.now();
    const to = this.destination(from, head, now);
    const members = this.members;
    if (to === undefined ? !canFlood(members, from, granted) : to !== from && !accepts(to, granted))
      return false;
    if (!granted.deliverEarlier()) return true;
    const length = granted.byteLength;
    from.framesIn += 1;
    from.bytesIn += length;
    from.forwarded += 1;
    from.forwardedTo = to === from ? undefined : to;
    this.learn(from, head, now);
    if (to === from) from.filtered += 1;
    else if (to !== undefined) handOn(to, granted, length);
    else {
      from.flooded += 1;
      for (let index = 0; index < members.length; index += 1) {
        const member = members[index];
        if (member !== undefined && member !== from) handOn(member, granted, length);
      }
    }
    return true;
  };

  /** Frames come in runs between the same two addresses: the table is asked again only when something may have changed. */
  private learn(from: PortRecord, frame: FrameView, now: number): void {
    const { last, number } = from;
    const high = frame.uint16(6);
    const low = frame.uint32(8);
    if (this.isKnown(from, now) && last.sourceLow === low && last.sourceHigh === high) return;
    if (!this.table.learn(high, low, number, now)) {
      from.notLearned += 1;
      return;
    }
    this.refresh(from, now);
    last.sourceHigh = high;
    last.sourceLow = low;
  }

  /** The port the destination was last seen on; `undefined`: all. */
  private destination(from: PortRecord, frame: FrameView, now: number): PortRecord | undefined {
    const { last } = from;
    const high = frame.uint16(0);
    if (isGroup(high)) return undefined;
    const low = frame.uint32(2);
    if (!this.isKnown(from, now) || last.targetLow !== low || last.targetHigh !== high) {
      const number = this.table.lookup(high, low, now);
      this.refresh(from, now);
      last.targetHigh = high;
      last.targetLow = low;
      last.target = number;
    }
    return last.target === NO_PORT ? undefined : this.byNumber[last.target];
  }

  private isKnown({ last }: PortRecord, now: number): boolean {
    return last.version === this.table.version && last.now === now;
  }

  /** What is remembered from here on is of this table and time; what was remembered of another is forgotten. */
  private refresh(from: PortRecord, now: number): void {
    if (this.isKnown(from, now)) return;
    const { last } = from;
    last.version = this.table.version;
    last.now = now;
    // No frame has a group address as its source, and none to a group is looked up.
    last.sourceHigh = GROUP;
    last.targetHigh = GROUP;
  }

  private flood(from: PortRecord, frame: Frame, length: number): void {
    from.flooded += 1;
    const members = this.members;
    for (let index = 0; index < members.length; index += 1) {
      const to = members[index];
      if (to !== undefined && to !== from) deliver(to, frame, length);
    }
  }
}

function deliver(to: PortRecord, frame: Frame, length: number): void {
  if (to.port.send(frame)) {
    to.framesOut += 1;
    to.bytesOut += length;
  } else {
    to.refused += 1;
  }
}

function handOn(to: PortRecord, granted: GrantedFrame, length: number): void {
  if (to.target?.sendGranted(granted) === true) {
    to.framesOut += 1;
    to.bytesOut += length;
  } else {
    to.refused += 1;
  }
}

function accepts(to: PortRecord, granted: GrantedFrame): boolean {
  return to.target?.acceptsGranted(granted) === true;
}

/** Whether every other port takes the packet in its grants, and they are few. */
function canFlood(members: readonly PortRecord[], from: PortRecord, granted: GrantedFrame): boolean {
  if (members.length - 1 > MOST_GRANTED_COPIES) return false;
  for (let index = 0; index < members.length; index += 1) {
    const member = members[index];
    if (member !== undefined && member !== from && !accepts(member, granted)) return false;
  }
  return true;
}

/** Long enough, from somebody, and not for bridges only. */
function isForwardable(frame: FrameView): boolean {
  if (frame.byteLength < ETHERNET_HEADER_LENGTH) return false;
  const sourceHigh = frame.uint16(6);
  if (isGroup(sourceHigh) || (sourceHigh | frame.uint32(8)) === 0) return false;
  return !isLinkLocal(frame.uint16(0), frame.uint32(2));
}

const GROUP = 0x0100;

const isGroup = (high: number): boolean => (high & GROUP) !== 0;

const isLinkLocal = (high: number, low: number): boolean =>
  high === LINK_LOCAL_HIGH && (low & 0xfffffff0) >>> 0 === LINK_LOCAL_LOW;

function formatAddress(high: number, low: number): string {
  const hex = high.toString(16).padStart(4, '0') + low.toString(16).padStart(8, '0');
  return hex.replace(/..(?=.)/g, '$&:');
}
