/**
 * The consuming end of a byte ring (`uring.h`, spec `vif2.md` §2.4).
 *
 * @packageDocumentation
 */
import type { MemoryArea } from '@netchannel2/xen';
import { CONS, CONS_EVENT, PROD, PROD_EVENT, type RingStruct, ringStructWord } from './control-page';
import { crossesEvent } from './event-threshold';
import { MessageType, messageSize, messageType } from './message-header';

/** What `next` answers when all messages of the pass were taken. */
export const RING_EMPTY = -1;
/** What `next` answers when the peer broke the ring; {@link UringConsumer.fault} says how. */
export const RING_FAULT = -2;

/**
 * Takes messages: `begin` a pass, `next` until it answers {@link RING_EMPTY}, `publish`, and `arm` before sleeping.
 *
 * The header is fetched once; the message is copied to private memory with `copyTo` before anything in it is believed, and
 * its place is not handed back before `publish`.
 */
export class UringConsumer {
  readonly ringBytes: number;
  /** Words of the payload, for copies of `[messageWord, …)`. */
  readonly words: Int32Array;
  /** What the peer did wrong. */
  fault: string | undefined = undefined;
  /** Word index of the message `next` answered. */
  messageWord = 0;
  /** Its header, as fetched. */
  header = 0;

  private readonly control: Int32Array;
  private readonly struct: number;
  private readonly base: number;
  private readonly mask: number;
  private readonly quarter: number;
  private consumed: number;
  private published: number;
  /** The peer's index as read by `begin`. */
  private produced: number;

  /** @param start the index both ends stand at: 0 on a fresh ring. */
  constructor(control: MemoryArea, struct: RingStruct, payload: MemoryArea, start = 0) {
    this.control = control.words;
    this.struct = ringStructWord(control, struct);
    this.words = payload.words;
    this.base = payload.base;
    this.ringBytes = payload.byteLength;
    this.mask = payload.byteLength - 1;
    this.quarter = payload.byteLength >> 2;
    this.consumed = start | 0;
    this.published = start | 0;
    this.produced = start | 0;
  }

  /** A quarter of the ring or more was consumed since the last `publish`, which is due. */
  get publishDue(): boolean {
    return ((this.consumed - this.published) | 0) >= this.quarter;
  }

  /** Index behind the message `next` answered. */
  get index(): number {
    return this.consumed;
  }

  /** Index behind the last message there is, as read by `begin`. */
  get endIndex(): number {
    return this.produced;
  }

  /** Index from which on a `publish` is due. */
  get dueIndex(): number {
    return (this.published + this.quarter) | 0;
  }

  /** Steps on behind messages that somebody else walked over, by the rules of `next`. @param index behind the last of them. */
  skipTo(index: number): void {
    this.consumed = index;
  }

  /** Byte offset of the message from the start of the payload. */
  get messageOffset(): number {
    return (this.messageWord << 2) - this.base;
  }

  /** Reads the peer's index, once per pass. `false`: it is impossible. */
  begin(): boolean {
    const produced = Atomics.load(this.control, this.struct + PROD);
    if ((produced - this.consumed) >>> 0 > this.ringBytes)
      return this.broken('producer index beyond the ring');
    if ((produced & 7) !== 0) return this.broken('producer index not a multiple of 8');
    this.produced = produced;
    return true;
  }

  /**
   * Steps to the next message and past any PAD.
   *
   * @returns its type, 0 … 254, or {@link RING_EMPTY} or {@link RING_FAULT}.
   */
  next(): number {
    const consumed = this.consumed;
    const available = (this.produced - consumed) | 0;
    if (available === 0) return RING_EMPTY;
    const offset = consumed & this.mask;
    const at = (this.base + offset) >> 2;
    const header = this.words[at] as number;
    const size = messageSize(header);
    const type = messageType(header);
    if (
      size < 8 ||
      (size & 7) !== 0 ||
      size > available ||
      size > this.quarter ||
      offset + size > this.ringBytes ||
      type === MessageType.pad
    ) {
      return this.skipPad(header, available, offset);
    }
    this.consumed = (consumed + size) | 0;
    this.header = header;
    this.messageWord = at;
    return type;
  }

  /**
   * Copies the first `count` words of the message to private memory. Word 0 is the header `next` checked, so it cannot
   * differ from what was decided on it.
   */
  copyTo(target: Int32Array, count: number): void {
    const words = this.words;
    const from = this.messageWord;
    target[0] = this.header;
    for (let index = 1; index < count; index++) target[index] = words[from + index] as number;
  }

  /** Copies words `[first, end)` of the message to the same places of `target`. */
  copyRange(target: Int32Array, first: number, end: number): void {
    const words = this.words;
    const from = this.messageWord;
    for (let index = first; index < end; index++) target[index] = words[from + index] as number;
  }

  /**
   * Gives the room of all messages taken back to the peer.
   *
   * @returns whether the peer must be notified.
   */
  publish(): boolean {
    const old = this.published;
    const consumed = this.consumed;
    if (old === consumed) return false;
    Atomics.store(this.control, this.struct + CONS, consumed);
    this.published = consumed;
    return crossesEvent(old, consumed, Atomics.load(this.control, this.struct + CONS_EVENT));
  }

  /**
   * Asks for an event at the next message, to be called only before sleeping.
   *
   * @returns whether messages arrived meanwhile: then do not sleep.
   */
  arm(): boolean {
    Atomics.store(this.control, this.struct + PROD_EVENT, (this.consumed + 1) | 0);
    return Atomics.load(this.control, this.struct + PROD) !== this.consumed;
  }

  /** Not an ordinary message: a PAD, after which the next one is looked at, or a fault. */
  private skipPad(header: number, available: number, offset: number): number {
    const size = messageSize(header);
    const end = offset + size;
    if (size < 8 || (size & 7) !== 0) return this.brokenMessage('message size not a multiple of 8');
    if (size > available) return this.brokenMessage('message beyond the producer index');
    if (end > this.ringBytes) return this.brokenMessage('message across the end of the ring');
    if (messageType(header) !== MessageType.pad) {
      return this.brokenMessage('message larger than a quarter of the ring');
    }
    if (end !== this.ringBytes) return this.brokenMessage('PAD not ending at the end of the ring');
    this.consumed = (this.consumed + size) | 0;
    // The PAD ended the ring, so this cannot go deeper than the ring has PADs of its whole size: one.
    return this.next();
  }

  private broken(fault: string): false {
    this.fault = fault;
    return false;
  }

  private brokenMessage(fault: string): typeof RING_FAULT {
    this.fault = fault;
    return RING_FAULT;
  }
}
