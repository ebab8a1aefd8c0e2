import { PROD, type RingView, ringStructWord } from '@netchannel2/netchannel2';
import type { MemoryArea } from '@netchannel2/xen';

/** One end of a pair of byte rings that a test writes as it likes; nothing is checked, nothing is kept in order. */
export class RawByteRing {
  private produced = 0;

  constructor(
    private readonly control: MemoryArea,
    /** Payload of the ring this end produces on. */
    readonly payload: MemoryArea,
    private readonly view: RingView,
    /** Payload of the ring the other end produces on. */
    readonly incoming: MemoryArea,
  ) {}

  /** Bytes of the ring. */
  get ringBytes(): number {
    return this.payload.byteLength;
  }

  /** Writes an index (`PROD`, `CONS`, `PROD_EVENT`, `CONS_EVENT`) of one of the rings, whoever owns it. */
  setIndex(ring: 'produce' | 'consume', index: number, value: number): void {
    Atomics.store(this.control.words, ringStructWord(this.control, this.view[ring]) + index, value | 0);
  }

  index(ring: 'produce' | 'consume', index: number): number {
    return Atomics.load(this.control.words, ringStructWord(this.control, this.view[ring]) + index);
  }

  /** Puts message words into the payload behind the last ones, without PAD or any check. */
  write(message: readonly number[] | Int32Array): void {
    const mask = this.payload.byteLength - 1;
    for (const [index, word] of message.entries()) {
      const at = (this.payload.base + ((this.produced + index * 4) & mask)) >> 2;
      this.payload.words[at] = word;
    }
    this.produced = (this.produced + message.length * 4) | 0;
  }

  /** Shows what was written to the peer; the test notifies. */
  publish(): void {
    this.setIndex('produce', PROD, this.produced);
  }
}
