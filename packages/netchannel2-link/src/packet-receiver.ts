import {
  FINISH_NOT_OBTAINED,
  MessageType,
  PacketDrop,
  PacketFlag,
  PacketHead,
  PacketType,
  packetDrop,
  packetFault,
  type UringConsumer,
} from '@netchannel2/netchannel2';
import type { Frame, FrameForwarder } from '@netchannel2/xen';
import { SOURCE_MAC } from './address-in-frame';
import { BatchDelivery, FAILED_COPIES, MOST_FAILED_COPIES, NOT_TAKEN } from './batch-delivery';
import { Diversion, Diverted } from './diversion';
import type { FinishQueue } from './finish-queue';
import { ForwardingRun } from './forwarding-run';
import { KernelRun } from './kernel-run';
import type { LinkBlock } from './link-block';
import type { LinkSettings } from './link-settings';
import { MappedPackets } from './mapped/mapped-packets';
import type { ParkedPacketsEnd } from './parked-packets';
import { PlainPacket } from './plain-packet';
import { PlainRun, STEP_DUE } from './plain-run';

/** Packets with impossible fragments in a row that end the connection (spec §7). */
const MOST_BAD_RANGES = 16;
/** Takes PACKET messages: checks, copies, finishes, emits. */
export class PacketReceiver extends BatchDelivery {
  private readonly head = new PacketHead();
  private readonly plain = new PlainPacket();
  private readonly run: PlainRun | KernelRun;
  private readonly forwards: ForwardingRun | undefined;
  /** Packets that the last {@link receiveRun} took. */
  runLength = 0;
  private readonly maxFragments: number;
  private diversion: Diversion | undefined;
  private readonly mapped: MappedPackets | undefined;
  /** What went wrong while earlier packets were emitted for the forwarder. */
  private earlierFault: string | undefined;
  private badRanges = 0;

  /**
   * @param maxPackets the credit advertised.
   * @param bypass the ring is a bypass.
   * @param later sends FINISHes outside of a pass.
   * @param block shared with a kernel, where there is one.
   */
  constructor(
    settings: LinkSettings,
    private readonly consumer: UringConsumer,
    finishes: FinishQueue,
    private readonly maxPackets: number,
    private readonly bypass: boolean,
    private readonly later: ParkedPacketsEnd,
    block: LinkBlock | undefined,
  ) {
    super(settings, finishes, block);
    const { unfinished } = finishes;
    this.run =
      KernelRun.create(settings, consumer, this.batch, unfinished, maxPackets) ??
      new PlainRun(settings, consumer, this.batch, unfinished, maxPackets);
    if (block !== undefined)
      this.forwards = new ForwardingRun(settings, consumer, unfinished, maxPackets, block);
    this.maxFragments = settings.offer.maxFragments;
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

  /** Most packets that may be diverted. `false`: it is anything else, or breaks a rule, and is left as it was found. */
  private receivePlain(): boolean {
    const { plain } = this;
    if (this.late.length > 0 || !plain.read(this.consumer)) return false;
    return plain.size === 0 ? this.takeInline(plain) : this.takePiece(plain);
  }

  private takeInline({ offset, prefix, flags }: PlainPacket): boolean {
    const { diversion } = this;
    this.badRanges = 0;
    if (diversion !== undefined) {
      const diverted = diversion.offerPlain(0, offset, prefix, 0, 0, 0, flags);
      if (diverted !== Diverted.refused || this.ended) {
        this.countReceived(prefix);
        return true;
      }
    }
    return this.batch.addInline(offset, prefix, flags);
  }

  private takePiece({ id, offset, prefix, ref, from, size, flags }: PlainPacket): boolean {
    const { diversion, batch } = this;
    const { unfinished } = this.finishes;
    if (unfinished.size >= this.maxPackets || unfinished.has(id)) return false;
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

  override end(): void {
    this.diversion?.end();
    this.diversion = undefined;
    // Copying out what is mapped finishes nothing any more.
    this.mapped?.end();
    super.end();
  }

  /** The packet in hand goes where FINISHes are held back, as far as its sender lets us see: it only fools itself. */
  private isLate(): boolean {
    if (this.late.length === 0) return false;
    const { bytes, base } = this.settings.rings.consume;
    const at = base + this.consumer.messageOffset + this.head.prefixOffset;
    return this.late.some(({ target }) => target.every((byte, index) => byte === bytes[at + index]));
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
