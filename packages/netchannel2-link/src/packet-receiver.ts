import type { HotStream } from '@netchannel2/frames';
import {
  FINISH_NOT_OBTAINED,
  LARGEST_PREFIX,
  MessageType,
  messageSize,
  PACKET_FIXED_SIZE,
  PACKET_FRAGMENT_SIZE,
  PacketDrop,
  PacketFlag,
  PacketHead,
  PacketType,
  packetDrop,
  packetFault,
  SMALLEST_FRAME,
  type UringConsumer,
} from '@netchannel2/netchannel2';
import { type Frame, type FrameForwarder, type GrantRef, PAGE_SIZE } from '@netchannel2/xen';
import { BatchEntry, OWED, RECORD_WORDS, RecordWord } from './batch-record';
import { Diversion, Diverted } from './diversion';
import type { FinishQueue } from './finish-queue';
import { ForwardingRun } from './forwarding-run';
import type { HeldFinishes } from './held-finishes';
import { KernelRun } from './kernel-run';
import type { LinkBlock } from './link-block';
import type { LinkSettings } from './link-settings';
import { MappedPackets } from './mapped/mapped-packets';
import type { ParkedPacketsEnd } from './parked-packets';
import { NOT_PLAIN, PlainRun, STEP_DUE } from './plain-run';
import { ReceiveBatch } from './receive-batch';

/** Packets with impossible fragments in a row that end the connection (spec §7). */
const MOST_BAD_RANGES = 16;
/** Where an Ethernet frame has its addresses. */
const TARGET_MAC = 0;
const SOURCE_MAC = 6;
const NOT_TAKEN = 'peer does not take its FINISHes';
/** Packets in a row whose bytes could not be had that end the connection (spec §7). */
const MOST_FAILED_COPIES = 100;
const FAILED_COPIES = '100 packets in a row whose grants do not work';

/** Takes PACKET messages: checks, copies, finishes, emits. */
export class PacketReceiver {
  private readonly head = new PacketHead();
  private readonly batch: ReceiveBatch;
  private readonly run: PlainRun | KernelRun;
  private readonly forwards: ForwardingRun | undefined;
  /** Packets that the last {@link receiveRun} took. */
  runLength = 0;
  private readonly maxFragments: number;
  private readonly frames: HotStream<Frame>;
  private readonly onlySource: Uint8Array | undefined;
  private readonly onlyTarget: Uint8Array | undefined;
  /** Packets to these destinations are finished later, by a middle that waits for their delivery. */
  readonly late: HeldFinishes[] = [];
  /** Packets of the batch that a FINISH is owed for. */
  private owed = 0;
  private diversion: Diversion | undefined;
  private readonly mapped: MappedPackets | undefined;
  /** What went wrong while earlier packets were emitted for the forwarder. */
  private earlierFault: string | undefined;
  private badRanges = 0;
  private failedCopies = 0;
  private completing = false;
  private ended = false;

  /**
   * @param maxPackets the credit advertised.
   * @param bypass the ring is a bypass.
   * @param later sends FINISHes outside of a pass.
   * @param block shared with a kernel, where there is one.
   */
  constructor(
    private readonly settings: LinkSettings,
    private readonly consumer: UringConsumer,
    private readonly finishes: FinishQueue,
    private readonly maxPackets: number,
    private readonly bypass: boolean,
    private readonly later: ParkedPacketsEnd,
    block: LinkBlock | undefined,
  ) {
    this.batch = new ReceiveBatch(settings, block);
    const { unfinished } = finishes;
    this.run =
      KernelRun.create(settings, consumer, this.batch, unfinished, maxPackets) ??
      new PlainRun(settings, consumer, this.batch, unfinished, maxPackets);
    if (block !== undefined)
      this.forwards = new ForwardingRun(settings, consumer, unfinished, maxPackets, block);
    this.maxFragments = settings.offer.maxFragments;
    this.frames = settings.frames;
    this.onlySource = settings.onlySource;
    this.onlyTarget = settings.onlyTarget;
    if (settings.mapFrom !== undefined)
      this.mapped = new MappedPackets(settings, settings.mapFrom, {
        finish: (id, obtained) => this.finishMapped(id, obtained),
      });
  }

  /**
   * Takes a run of plain packets, from the one the consumer stands on; none where packets may go another way than into the
   * batch. There must be room in the batch.
   *
   * @returns as {@link PlainRun.take}.
   */
  receiveRun(most: number): number {
    const { run } = this;
    this.runLength = 0;
    if (this.late.length > 0) return MessageType.packet;
    if (this.diverting) return this.forwardRun(most);
    const type = run.take(most);
    this.runLength = run.taken;
    if (run.taken > 0) this.badRanges = 0;
    this.owed += run.owed;
    return type;
  }

  private forwardRun(most: number): number {
    const { diversion, forwards } = this;
    const route = diversion?.route;
    // What was received before is emitted first, which the forwarder sees to.
    if (diversion === undefined || forwards === undefined || route === undefined || this.waiting)
      return MessageType.packet;
    forwards.take(route, diversion.parked, diversion.routeExact, most);
    const { taken } = forwards;
    this.runLength = taken;
    if (taken === 0) return MessageType.packet;
    this.badRanges = 0;
    return taken === most || this.consumer.publishDue ? STEP_DUE : this.consumer.next();
  }

  private get diverting(): boolean {
    return this.diversion?.forwarder !== undefined && this.frames.observers < 2;
  }

  /** Takes the message the consumer stands on. @returns what ends the connection, or `undefined`. */
  receive(): string | undefined {
    if (this.diverting && this.receivePlain()) return this.earlierFault;
    const { head, consumer } = this;
    head.read(consumer.header, consumer.words, consumer.messageWord);
    const fault = packetFault(head, this.bypass);
    if (fault !== undefined) return fault;
    const { id } = head;
    const { unfinished } = this.finishes;
    const owed = head.type !== PacketType.small;
    if (owed) {
      head.readFragments(consumer.words, consumer.messageWord);
      if (unfinished.size >= this.maxPackets) return 'more unfinished packets than allowed';
      if (unfinished.has(id)) return 'id of a packet that is still unfinished';
      unfinished.add(id);
    }
    const drop = packetDrop(head, this.maxFragments);
    if (drop !== undefined) return this.refuse(id, owed, drop);
    this.badRanges = 0;
    const { diversion } = this;
    if (diversion !== undefined && this.diverting && !this.isLate()) {
      const diverted = diversion.offer(consumer.messageOffset);
      if (diverted !== Diverted.refused || this.ended)
        return this.countDiverted(id, head.length, owed, diverted);
    }
    const { mapped } = this;
    if (mapped !== undefined && head.type === PacketType.receiverMap && mapped.takes(head) && !this.isLate())
      return this.receiveMapped(mapped);
    return this.addToBatch(owed) ? undefined : this.addLater(owed);
  }

  /** Emits a packet whose bytes are still with the peer; whoever looks at them has them mapped. */
  private receiveMapped(mapped: MappedPackets): string | undefined {
    const { head, consumer, frames } = this;
    const { id, length, flags } = head;
    const prefixAt = consumer.messageOffset + head.prefixOffset;
    if (this.batch.length > 0) {
      const fault = this.complete();
      if (fault !== undefined || this.ended) return fault;
    }
    if (!mapped.load(head, prefixAt) && !this.loadFromKept(mapped, prefixAt)) {
      this.settings.counters.dropped.noBuffer += 1;
      this.refuseLater(id);
      return undefined;
    }
    if (this.isFrameAllowed(mapped.frame)) {
      this.countReceived(length);
      const { emission } = this.settings;
      if (frames.observed) {
        emission?.begin((flags & PacketFlag.bypassCandidate) !== 0);
        frames.emit(mapped.frame);
        emission?.end();
      } else this.settings.counters.dropped.noSubscriber += 1;
    }
    mapped.emitted();
    return this.failedCopies >= MOST_FAILED_COPIES ? FAILED_COPIES : undefined;
  }

  /** The pool is empty but for what the batch, which is empty too, keeps. */
  private loadFromKept(mapped: MappedPackets, prefixAt: number): boolean {
    this.batch.rest();
    return mapped.load(this.head, prefixAt);
  }

  private isFrameAllowed(frame: Frame): boolean {
    const { onlySource } = this;
    if (onlySource === undefined || onlySource.every((byte, at) => frame.uint8(SOURCE_MAC + at) === byte))
      return true;
    this.settings.counters.dropped.sourceMac += 1;
    return false;
  }

  private finishMapped(id: number, obtained: boolean): void {
    if (obtained) this.failedCopies = 0;
    else {
      this.failedCopies += 1;
      this.settings.counters.dropped.notObtained += 1;
    }
    this.later.finished(id, obtained);
  }

  private addToBatch(owed: boolean): boolean {
    if (!this.batch.add(this.head, this.consumer.messageOffset, owed)) return false;
    if (owed) this.owed += 1;
    return true;
  }

  /** The FINISH of a dropped packet keeps its place among those of its batch. */
  private refuseLater(id: number): void {
    this.batch.addRefused(id);
    this.owed += 1;
  }

  /**
   * Most packets that may be diverted, the same that {@link PlainRun} takes where none may. One look at each word of the
   * message; a packet that is anything else, or breaks a rule, is left as it was found.
   */
  private receivePlain(): boolean {
    const { consumer } = this;
    if (this.late.length > 0) return false;
    const { words, messageWord: at } = consumer;
    const kind = words[at + 2] as number;
    if ((kind & NOT_PLAIN) !== 0) return false;
    const prefix = (words[at + 3] as number) & 0xffff;
    const rest = messageSize(consumer.header) - PACKET_FIXED_SIZE - prefix;
    if (prefix > LARGEST_PREFIX) return false;
    const type = kind & 0xff;
    if (type === PacketType.small) {
      return rest >>> 3 === 0 && prefix >= SMALLEST_FRAME && this.takeInline(prefix, (kind >>> 8) & 0xff);
    }
    if (type !== PacketType.receiverCopy || rest >>> 3 !== 1) return false;
    const range = words[at + 5] as number;
    const size = range & 0xffff;
    const from = range >>> 16;
    const length = prefix + size;
    if (size === 0 || from + size > PAGE_SIZE || length < SMALLEST_FRAME || length > PAGE_SIZE) return false;
    const id = words[at + 1] as number;
    const { unfinished } = this.finishes;
    if (unfinished.size >= this.maxPackets || unfinished.has(id)) return false;
    return this.takePiece(id, prefix, words[at + 6] as GrantRef, from, size, (kind >>> 8) & 0xff);
  }

  private takeInline(length: number, flags: number): boolean {
    const offset = this.consumer.messageOffset + PACKET_FIXED_SIZE;
    const { diversion } = this;
    this.badRanges = 0;
    if (diversion !== undefined) {
      const diverted = diversion.offerPlain(0, offset, length, 0, 0, 0, flags);
      if (diverted !== Diverted.refused || this.ended) {
        this.countReceived(length);
        return true;
      }
    }
    return this.batch.addInline(offset, length, flags);
  }

  private takePiece(
    id: number,
    prefix: number,
    ref: GrantRef,
    from: number,
    size: number,
    flags: number,
  ): boolean {
    const offset = this.consumer.messageOffset + PACKET_FIXED_SIZE + PACKET_FRAGMENT_SIZE;
    const { diversion, batch } = this;
    const { unfinished } = this.finishes;
    unfinished.add(id);
    if (diversion !== undefined) {
      const diverted = diversion.offerPlain(id, offset, prefix, ref, from, size, flags);
      if (diverted !== Diverted.refused || this.ended) {
        this.earlierFault = this.countDiverted(id, prefix + size, true, diverted);
        return true;
      }
    }
    if (batch.addPiece(id, offset, prefix, ref, from, size, flags)) {
      this.owed += 1;
      this.badRanges = 0;
      return true;
    }
    unfinished.remove(id);
    return false;
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
        this.later,
        () => this.deliverEarlier(),
        this.batch.block,
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
    const { batch } = this;
    const count = batch.length;
    if (count === 0) return undefined;
    this.completing = true;
    batch.obtain();
    const fault = this.owed > 0 ? this.finishAll(count) : undefined;
    const retained = fault === undefined ? this.deliverAll(count) : this.giveUp(count);
    const asItWas = !retained && !batch.troubled;
    this.completing = false;
    if (this.ended) batch.end();
    else if (asItWas) batch.clear();
    else batch.clearRetained();
    return fault;
  }

  /** Nothing is to come soon: what is kept for it goes back. */
  rest(): void {
    if (!this.ended) this.batch.rest();
  }

  private giveUp(count: number): false {
    for (let index = 0; index < count; index += 1) this.batch.releasePages(index);
    return false;
  }

  /** Emits nothing any more, and forgets what was not completed. May be called by a subscriber, amid an emission. */
  end(): void {
    this.ended = true;
    this.diversion?.end();
    this.diversion = undefined;
    this.mapped?.end();
    if (this.completing) return;
    this.batch.forgetCopies();
    this.giveUp(this.batch.length);
    this.batch.end();
  }

  /** The packet in hand goes where FINISHes are held back, as far as its sender lets us see: it only fools itself. */
  private isLate(): boolean {
    if (this.late.length === 0) return false;
    const { bytes, base } = this.settings.rings.consume;
    const at = base + this.consumer.messageOffset + this.head.prefixOffset;
    return this.late.some(({ target }) => target.every((byte, index) => byte === bytes[at + index]));
  }

  private countReceived(length: number): void {
    const { counters } = this.settings;
    counters.framesReceived += 1;
    counters.bytesReceived += length;
  }

  /** @returns what ends the connection, or `undefined`. */
  private countDiverted(id: number, length: number, owed: boolean, diverted: Diverted): string | undefined {
    if (this.earlierFault !== undefined || this.ended) return this.earlierFault;
    this.countReceived(length);
    if (diverted === Diverted.taken || !owed) return undefined;
    return this.finishes.finish(id, FINISH_NOT_OBTAINED) ? undefined : NOT_TAKEN;
  }

  private deliverEarlier(): boolean {
    this.earlierFault = this.complete();
    return this.earlierFault === undefined && !this.ended;
  }

  private finishAll(count: number): string | undefined {
    const { finishes } = this;
    const { records } = this.batch;
    let fault: string | undefined;
    if (!this.batch.troubled && this.late.length === 0) {
      this.failedCopies = 0;
      this.owed = 0;
      return finishes.finishBatch(records, count) ? undefined : NOT_TAKEN;
    }
    for (let index = 0; index < count; index += 1) {
      const record = index * RECORD_WORDS;
      const state = records[record + RecordWord.state] as number;
      if ((state & OWED) === 0) continue;
      if (state === (BatchEntry.filled | OWED)) this.failedCopies = 0;
      else if (state === (BatchEntry.failed | OWED)) fault = this.countFailed() ?? fault;
      if (this.late.length > 0 && this.holdLate(index, state)) continue;
      const flags = state === (BatchEntry.filled | OWED) ? 0 : FINISH_NOT_OBTAINED;
      if (!finishes.finish(records[record + RecordWord.id] as number, flags)) fault = NOT_TAKEN;
    }
    this.owed = 0;
    return fault;
  }

  /** Holds the FINISH of packet `index` back where it is to be. What was not copied goes by the first: it may be for it. */
  private holdLate(index: number, state: number): boolean {
    const { late, batch } = this;
    const held =
      state === (BatchEntry.refused | OWED)
        ? late[0]
        : late.find(({ target }) => batch.carries(index, TARGET_MAC, target));
    if (held === undefined) return false;
    const id = batch.records[index * RECORD_WORDS + RecordWord.id] as number;
    held.hold(id, state === (BatchEntry.filled | OWED) ? 0 : FINISH_NOT_OBTAINED);
    return true;
  }

  private countFailed(): string | undefined {
    this.failedCopies += 1;
    this.settings.counters.dropped.notObtained += 1;
    return this.failedCopies === MOST_FAILED_COPIES ? FAILED_COPIES : undefined;
  }

  /**
   * Emits what was obtained, and gives the pages of each packet back right after it, but for the first.
   *
   * @returns whether anybody keeps a first page.
   */
  private deliverAll(count: number): boolean {
    const { batch, frames } = this;
    const { records, firstPages } = batch;
    const { emission } = this.settings;
    const filtered = this.onlySource !== undefined || this.onlyTarget !== undefined;
    let delivered = 0;
    let bytes = 0;
    let retained = false;
    for (let index = 0; index < count; index += 1) {
      const record = index * RECORD_WORDS;
      const length = records[record + RecordWord.length] as number;
      if (((records[record + RecordWord.state] as number) & ~OWED) === BatchEntry.filled && !this.ended) {
        if (!filtered || this.isAllowed(index)) {
          delivered += 1;
          bytes += length;
          if (frames.observed) {
            emission?.begin(batch.isBypassCandidate(index));
            const cursor = batch.load(index);
            frames.emit(cursor);
            cursor.end();
          } else this.settings.counters.dropped.noSubscriber += 1;
        }
      }
      if (length > PAGE_SIZE) batch.releasePages(index);
      const first = firstPages[index];
      if (first !== undefined && first.leases !== 1) retained = true;
    }
    emission?.end();
    const { counters } = this.settings;
    counters.framesReceived += delivered;
    counters.bytesReceived += bytes;
    const received = this.settings.bypass?.received;
    if (received !== undefined) {
      received.bypassFramesReceived += delivered;
      received.bypassBytesReceived += bytes;
    }
    return retained;
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
      if (this.addToBatch(owed)) return undefined;
    }
    this.settings.counters.dropped.noBuffer += 1;
    if (owed) this.refuseLater(this.head.id);
    return undefined;
  }

  private refuse(id: number, owed: boolean, reason: PacketDrop): string | undefined {
    this.settings.counters.dropped[reason] += 1;
    if (owed) this.refuseLater(id);
    if (reason !== PacketDrop.fragmentRange) {
      this.badRanges = 0;
      return undefined;
    }
    this.badRanges += 1;
    return this.badRanges === MOST_BAD_RANGES ? '16 packets in a row with impossible fragments' : undefined;
  }
}
