/**
 * The producing end of a byte ring (`uring.h`, spec `vif2.md` §2.3).
 *
 * @packageDocumentation
 */
import type { MemoryArea } from '@netchannel2/xen';
import { CONS, CONS_EVENT, PROD, PROD_EVENT, type RingStruct, ringStructWord } from './control-page';
import { crossesEvent } from './event-threshold';
import { MessageType, messageHeader } from './message-header';
import { bytesNeeded, bytesToEnd, wouldWrap } from './ring-space';

/** What `claim` answers when the message does not fit now. */
export const NO_SPACE = -1;

/**
 * Writes messages: `claim` a place, fill it, `commit`; `publish` once per batch. Indices are kept as signed 32-bit
 * numbers, compared as unsigned differences.
 */
export class UringProducer {
  /** Bytes of the ring, a power of two. */
  readonly ringBytes: number;
  /** Largest message: a quarter of the ring, without which a message could wait for ever (spec §2.3). */
  readonly largestMessage: number;
  /** Words of the payload; `claim` answers indices into it. */
  readonly words: Int32Array;
  /** The consumer's index was impossible: the peer is broken or hostile, nothing more may be sent. */
  broken = false;

  private readonly control: Int32Array;
  private readonly struct: number;
  private readonly base: number;
  private readonly mask: number;
  private produced: number;
  private published: number;
  /** The consumer's index as last read. */
  private consumed: number;
  /** Bytes free by what was last read of it. */
  private free: number;

  /**
   * Attaches to a ring.
   *
   * @param payload a power-of-two number of pages.
   * @param start the index both ends stand at: 0 on a fresh ring.
   */
  constructor(control: MemoryArea, struct: RingStruct, payload: MemoryArea, start = 0) {
    this.control = control.words;
    this.struct = ringStructWord(control, struct);
    this.words = payload.words;
    this.base = payload.base;
    this.ringBytes = payload.byteLength;
    this.largestMessage = payload.byteLength >> 2;
    this.mask = payload.byteLength - 1;
    this.produced = start | 0;
    this.published = start | 0;
    this.consumed = start | 0;
    this.free = payload.byteLength;
  }

  /** Messages were committed that `publish` has not shown to the peer yet. */
  get unpublished(): boolean {
    return this.produced !== this.published;
  }

  /** Byte index the next message starts at or after; free running. */
  get producedIndex(): number {
    return this.produced >>> 0;
  }

  /**
   * Room for one message; writes a PAD before it where it would wrap. When there is none, asks the peer for an event.
   * A claim that is not committed is simply claimed again.
   *
   * @param size bytes, a multiple of 8, at most {@link largestMessage}.
   * @param keep bytes that must stay free behind it: the reserve for PACKETs, 0 for answers.
   * @returns the word index in {@link words}, or {@link NO_SPACE}.
   */
  claim(size: number, keep: number): number {
    const offset = this.produced & this.mask;
    if (offset + size < this.ringBytes && size + keep <= this.free && size <= this.largestMessage) {
      return (this.base + offset) >> 2;
    }
    return this.claimCarefully(size, keep);
  }

  /**
   * {@link claim} and {@link commit} at once, for a message that is filled in later, but before `publish`.
   *
   * @param size as for `claim`. @param keep as for `claim`.
   * @returns the address of its first byte, or {@link NO_SPACE}.
   */
  take(size: number, keep: number): number {
    const { produced, free } = this;
    const offset = produced & this.mask;
    if (offset + size < this.ringBytes && size + keep <= free && size <= this.largestMessage) {
      this.produced = (produced + size) | 0;
      this.free = free - size;
      return this.base + offset;
    }
    const at = this.claimCarefully(size, keep);
    if (at === NO_SPACE) return NO_SPACE;
    this.commit(size);
    return at << 2;
  }

  /** Word index of the place the next message goes to, if it does not wrap. */
  get nextWord(): number {
    return (this.base + (this.produced & this.mask)) >> 2;
  }

  /**
   * How many messages of `size` bytes fit from {@link nextWord} on without a wrap, by what is known of the consumer. They may
   * be written there and committed together.
   */
  adjacentRoom(size: number): number {
    // A message that ends exactly at the ring's end wraps too.
    const toEnd = this.ringBytes - (this.produced & this.mask) - 1;
    return (Math.min(this.free, toEnd) / size) | 0;
  }

  /**
   * As {@link adjacentRoom}, in bytes of messages of any size. Never less than none: answers may have eaten into what is kept.
   *
   * @param keep as for `claim`.
   */
  adjacentBytes(keep: number): number {
    return Math.max(0, Math.min(this.free - keep, this.ringBytes - (this.produced & this.mask) - 1));
  }

  /** Takes the message at the last claimed place into the stream. */
  commit(size: number): void {
    this.produced = (this.produced + size) | 0;
    this.free -= size;
  }

  /**
   * Shows everything committed to the peer.
   *
   * @returns whether the peer must be notified.
   */
  publish(): boolean {
    const old = this.published;
    const produced = this.produced;
    if (old === produced) return false;
    Atomics.store(this.control, this.struct + PROD, produced);
    this.published = produced;
    return crossesEvent(old, produced, Atomics.load(this.control, this.struct + PROD_EVENT));
  }

  /** Whether a message of `size` would find room now; asks for an event when not. Writes nothing into the payload. */
  hasSpace(size: number, keep: number): boolean {
    const need = bytesNeeded(this.produced, size, this.ringBytes) + keep;
    return this.free >= need || this.awaitSpace(need);
  }

  /** The peer took everything that was published. */
  drained(): boolean {
    return this.refresh() && this.consumed === this.published;
  }

  /**
   * Whether the peer took everything before `index`, which was published; when not, asks for an event at the moment it does.
   *
   * @param index as {@link producedIndex} was when the messages in question had been committed.
   */
  awaitTaken(index: number): boolean {
    if (this.hasTaken(index)) return true;
    Atomics.store(this.control, this.struct + CONS_EVENT, index | 0);
    return this.hasTaken(index);
  }

  private hasTaken(index: number): boolean {
    return this.refresh() && ((this.consumed - index) | 0) >= 0;
  }

  /** The rare cases: a wrap, too little room by what is known, a message too large. */
  private claimCarefully(size: number, keep: number): number {
    const ringBytes = this.ringBytes;
    if (size > this.largestMessage)
      throw new RangeError(`a message of ${size} bytes in a ring of ${ringBytes}`);
    const need = bytesNeeded(this.produced, size, ringBytes) + keep;
    if (this.free < need && !this.awaitSpace(need)) return NO_SPACE;
    if (wouldWrap(this.produced, size, ringBytes)) {
      const pad = bytesToEnd(this.produced, ringBytes);
      this.words[(this.base + (this.produced & this.mask)) >> 2] = messageHeader(MessageType.pad, 0, pad);
      this.commit(pad);
    }
    return (this.base + (this.produced & this.mask)) >> 2;
  }

  /** Reads the consumer's index. `false`: it is impossible. */
  private refresh(): boolean {
    const consumed = Atomics.load(this.control, this.struct + CONS);
    // Neither behind what was seen before nor ahead of what was shown.
    if ((consumed - this.consumed) >>> 0 > (this.published - this.consumed) >>> 0) {
      this.broken = true;
      return false;
    }
    this.consumed = consumed;
    this.free = this.ringBytes - ((this.produced - consumed) | 0);
    return true;
  }

  private awaitSpace(need: number): boolean {
    if (this.broken || !this.refresh()) return false;
    while (this.free < need) {
      const seen = this.consumed;
      Atomics.store(this.control, this.struct + CONS_EVENT, (seen + 1) | 0);
      if (!this.refresh() || this.consumed === seen) return false;
    }
    return true;
  }
}
