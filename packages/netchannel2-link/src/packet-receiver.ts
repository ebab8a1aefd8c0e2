import type { HotStream } from '@netchannel2/frames';
import {
  FINISH_NOT_OBTAINED,
  PacketDrop,
  PacketFlag,
  PacketHead,
  PacketType,
  packetDrop,
  packetFault,
  type UringConsumer,
} from '@netchannel2/netchannel2';
import type { Frame, FrameForwarder } from '@netchannel2/xen';
import { Diversion, Diverted } from './diversion';
import type { FinishQueue } from './finish-queue';
import type { HeldFinishes } from './held-finishes';
import { IdSet } from './id-set';
import type { LinkSettings } from './link-settings';
import { BatchEntry, ReceiveBatch } from './receive-batch';

/** Packets with impossible fragments in a row that end the connection (spec §7). */
const MOST_BAD_RANGES = 16;
/** Where an Ethernet frame has its addresses. */
const TARGET_MAC = 0;
const SOURCE_MAC = 6;
/** Packets in a row whose bytes could not be had that end the connection (spec §7). */
const MOST_FAILED_COPIES = 100;

/** Takes PACKET messages: checks, copies, finishes, emits. */
export class PacketReceiver {
  private readonly head = new PacketHead();
  private readonly batch: ReceiveBatch;
  private readonly batchIds = new IdSet(512);
  private readonly maxFragments: number;
  private readonly frames: HotStream<Frame>;
  private readonly onlySource: Uint8Array | undefined;
  private readonly onlyTarget: Uint8Array | undefined;
  /** Packets to these destinations are finished later, by a middle that waits for their delivery. */
  readonly late: HeldFinishes[] = [];
  /** Packets of the batch that a FINISH is owed for. */
  private owed = 0;
  private diversion: Diversion | undefined;
  /** What went wrong while earlier packets were emitted for the forwarder. */
  private earlierFault: string | undefined;
  private badRanges = 0;
  private failedCopies = 0;
  private completing = false;
  private ended = false;

  /**
   * @param maxPackets the credit advertised.
   * @param bypass the ring is a bypass.
   * @param finishLater sends a FINISH outside of a pass.
   */
  constructor(
    private readonly settings: LinkSettings,
    private readonly consumer: UringConsumer,
    private readonly finishes: FinishQueue,
    private readonly maxPackets: number,
    private readonly bypass: boolean,
    private readonly finishLater: (id: number, flags: number) => void,
  ) {
    this.batch = new ReceiveBatch(settings);
    this.maxFragments = settings.offer.maxFragments;
    this.frames = settings.frames;
    this.onlySource = settings.onlySource;
    this.onlyTarget = settings.onlyTarget;
  }

  /** Takes the message the consumer stands on. @returns what ends the connection, or `undefined`. */
  receive(): string | undefined {
    const { head, consumer } = this;
    head.read(consumer.header, consumer.words, consumer.messageWord);
    const fault = packetFault(head, this.bypass);
    if (fault !== undefined) return fault;
    const id = head.id;
    const owed = head.type !== PacketType.small;
    if (owed) head.readFragments(consumer.words, consumer.messageWord);
    if (this.diversion?.forwarder !== undefined) {
      const diverted = this.divert(this.diversion, id, owed);
      if (this.earlierFault !== undefined || this.ended) return this.earlierFault;
      if (diverted !== Diverted.refused) return this.countDiverted(id, owed, diverted);
    }
    if (owed) {
      const pending = this.finishes.pending + this.countHeld();
      const parked = this.diversion?.parked;
      if (this.owed + pending + (parked?.size ?? 0) >= this.maxPackets)
        return 'more unfinished packets than allowed';
      if (!this.batchIds.add(id) || (pending > 0 && this.isPending(id)) || parked?.has(id) === true) {
        return 'id of a packet that is still unfinished';
      }
      this.owed += 1;
    }
    const drop = packetDrop(head, this.maxFragments);
    if (drop !== undefined) return this.refuse(id, owed, drop);
    this.badRanges = 0;
    if (this.batch.add(head, consumer.messageOffset, owed)) return undefined;
    return this.addLater(owed);
  }

  /**
   * Shows packets to `forwarder` before they are copied in; `undefined`: no more.
   *
   * @returns `false` when there is no page for the packets' heads.
   */
  setForwarder(forwarder: FrameForwarder | undefined): boolean {
    if (this.diversion !== undefined) this.diversion.forwarder = forwarder;
    else if (forwarder !== undefined) {
      this.diversion = Diversion.create(
        this.settings,
        this.head,
        forwarder,
        this.maxPackets,
        (id, obtained) => this.finishLater(id, obtained ? 0 : FINISH_NOT_OBTAINED),
        () => this.deliverEarlier(),
      );
      return this.diversion !== undefined;
    }
    return true;
  }

  /** The batch must be completed before the next PACKET. */
  get full(): boolean {
    return this.batch.full;
  }

  /** Packets wait in the batch. */
  get waiting(): boolean {
    return this.batch.length > 0;
  }

  /** Gets the bytes of all packets, finishes and emits them. @returns what ends the connection, or `undefined`. */
  complete(): string | undefined {
    const batch = this.batch;
    if (batch.length === 0) return undefined;
    this.completing = true;
    batch.obtain();
    const fault = this.finishAll();
    this.owed = 0;
    this.batchIds.clear();
    if (fault === undefined) this.deliverAll();
    for (let index = 0; index < batch.length; index += 1) batch.releasePages(index);
    batch.clear();
    this.completing = false;
    return fault;
  }

  /** Emits nothing any more, and forgets what was not completed. May be called by a subscriber, amid an emission. */
  end(): void {
    this.ended = true;
    this.diversion?.end();
    this.diversion = undefined;
    if (this.completing) return;
    this.batch.forgetCopies();
    for (let index = 0; index < this.batch.length; index += 1) this.batch.releasePages(index);
    this.batch.clear();
  }

  /** Only packets that break no rule are shown; the others take the ordinary way, where that is found out. */
  private divert(diversion: Diversion, id: number, owed: boolean): Diverted {
    // Somebody else listens, who is to see all frames.
    if (this.frames.observers > 1) return Diverted.refused;
    const pending = this.finishes.pending + this.countHeld();
    const { parked } = diversion;
    if (owed) {
      if (this.owed + pending + parked.size >= this.maxPackets) return Diverted.refused;
      const unfinished = this.batchIds.has(id) || parked.has(id) || (pending > 0 && this.isPending(id));
      if (unfinished) return Diverted.refused;
    }
    if (packetDrop(this.head, this.maxFragments) !== undefined || this.isLate()) return Diverted.refused;
    const { emission } = this.settings;
    emission?.begin(this.isCandidate());
    const diverted = diversion.offer(this.consumer.messageOffset);
    emission?.end();
    return diverted;
  }

  private isCandidate(): boolean {
    return (this.head.flags & PacketFlag.bypassCandidate) !== 0;
  }

  /** The packet in hand goes where FINISHes are held back, as far as its sender lets us see: it only fools itself. */
  private isLate(): boolean {
    if (this.late.length === 0) return false;
    const { bytes, base } = this.settings.rings.consume;
    const at = base + this.consumer.messageOffset + this.head.prefixOffset;
    return this.late.some(({ target }) => target.every((byte, index) => byte === bytes[at + index]));
  }

  private countDiverted(id: number, owed: boolean, diverted: Diverted): string | undefined {
    const { counters } = this.settings;
    counters.framesReceived += 1;
    counters.bytesReceived += this.head.length;
    this.badRanges = 0;
    if (diverted === Diverted.taken || !owed) return undefined;
    return this.finishes.finish(id, FINISH_NOT_OBTAINED) ? undefined : 'peer does not take its FINISHes';
  }

  private deliverEarlier(): boolean {
    this.earlierFault = this.complete();
    this.settings.emission?.begin(this.isCandidate());
    return this.earlierFault === undefined && !this.ended;
  }

  private finishAll(): string | undefined {
    const { batch, finishes } = this;
    const count = batch.length;
    let fault: string | undefined;
    for (let index = 0; index < count; index += 1) {
      const state = batch.state(index);
      if (state !== BatchEntry.filled) {
        if (state === BatchEntry.failed) fault = this.countFailed() ?? fault;
      } else this.failedCopies = 0;
      if (!batch.isOwed(index)) continue;
      const flags = state === BatchEntry.filled ? 0 : FINISH_NOT_OBTAINED;
      const held = this.late.length === 0 ? undefined : this.lateFor(index, state);
      if (held !== undefined) held.hold(batch.id(index), flags);
      else if (!finishes.finish(batch.id(index), flags)) fault = 'peer does not take its FINISHes';
    }
    return fault;
  }

  /** Where the FINISH of packet `index` is held back, if it is. What was not copied goes by the first: it may be for it. */
  private lateFor(index: number, state: number): HeldFinishes | undefined {
    if (state === BatchEntry.refused) return this.late[0];
    return this.late.find(({ target }) => this.batch.carries(index, TARGET_MAC, target));
  }

  private countHeld(): number {
    let count = 0;
    for (let index = 0; index < this.late.length; index += 1) count += this.late[index]?.count ?? 0;
    return count;
  }

  private isPending(id: number): boolean {
    return this.finishes.waits(id) || this.late.some((held) => held.has(id));
  }

  private countFailed(): string | undefined {
    this.failedCopies += 1;
    this.settings.counters.dropped.notObtained += 1;
    return this.failedCopies === MOST_FAILED_COPIES
      ? '100 packets in a row whose grants do not work'
      : undefined;
  }

  private deliverAll(): void {
    const { batch, frames } = this;
    const { emission } = this.settings;
    const count = batch.length;
    let delivered = 0;
    let bytes = 0;
    for (let index = 0; index < count && !this.ended; index += 1) {
      if (batch.state(index) !== BatchEntry.filled || !this.isAllowed(index)) continue;
      delivered += 1;
      bytes += batch.frameLength(index);
      if (frames.observed) {
        emission?.begin(batch.isBypassCandidate(index));
        const cursor = batch.load(index);
        frames.emit(cursor);
        cursor.end();
      } else this.settings.counters.dropped.noSubscriber += 1;
    }
    emission?.end();
    const { counters } = this.settings;
    counters.framesReceived += delivered;
    counters.bytesReceived += bytes;
    const received = this.settings.bypass?.received;
    if (received === undefined) return;
    received.bypassFramesReceived += delivered;
    received.bypassBytesReceived += bytes;
  }

  private isAllowed(index: number): boolean {
    const { onlySource, onlyTarget, batch } = this;
    let reason: 'sourceMac' | 'targetMac';
    if (onlySource !== undefined && !batch.carries(index, SOURCE_MAC, onlySource)) reason = 'sourceMac';
    else if (onlyTarget !== undefined && !batch.carries(index, TARGET_MAC, onlyTarget)) reason = 'targetMac';
    else return true;
    this.settings.counters.dropped[reason] += 1;
    return false;
  }

  /** The pool is empty: once the batch so far is delivered, its pages may be free again. */
  private addLater(owed: boolean): string | undefined {
    if (this.batch.length > 0) {
      const fault = this.complete();
      if (fault !== undefined || this.ended) return fault;
      if (owed) {
        this.owed = 1;
        this.batchIds.add(this.head.id);
      }
      if (this.batch.add(this.head, this.consumer.messageOffset, owed)) return undefined;
    }
    this.settings.counters.dropped.noBuffer += 1;
    if (owed) this.batch.addRefused(this.head.id);
    return undefined;
  }

  private refuse(id: number, owed: boolean, reason: PacketDrop): string | undefined {
    this.settings.counters.dropped[reason] += 1;
    if (owed) this.batch.addRefused(id);
    if (reason !== PacketDrop.fragmentRange) {
      this.badRanges = 0;
      return undefined;
    }
    this.badRanges += 1;
    return this.badRanges === MOST_BAD_RANGES ? '16 packets in a row with impossible fragments' : undefined;
  }
}
