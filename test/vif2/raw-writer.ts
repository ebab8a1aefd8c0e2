import { CONS, PROD } from '@netchannel2/netchannel2';
import type { RawByteRing } from '@netchannel2/testing';

/** A raw end of a parent ring. */
interface RawEnd {
  readonly ring: RawByteRing;
  notify(): void;
}

/** What the driver at the other end wrote: type, flags, and the word behind the header. */
export interface Heard {
  readonly type: number;
  readonly flags: number;
  readonly word: number;
}

/** Writes messages word by word into the ring of a raw device, from its start on, and reads what the driver writes. */
export class RawWriter {
  /** Byte index of what is written next. */
  produced = 0;
  private consumed = 0;

  constructor(private readonly raw: RawEnd) {}

  /**
   * Shows words, all at once, preceded by a PAD where a message of their length would wrap.
   *
   * @returns the words, with that PAD.
   */
  show(words: readonly number[]): readonly number[] {
    const { ring } = this.raw;
    const left = ring.ringBytes - (this.produced % ring.ringBytes);
    const pad =
      words.length * 4 >= left ? [0xff | (left << 16), ...new Array<number>(left / 4 - 1).fill(0)] : [];
    const all = [...pad, ...words];
    ring.write(all);
    this.produced += all.length * 4;
    ring.publish();
    this.raw.notify();
    return all;
  }

  /**
   * All the driver has written since; the room is handed back.
   *
   * @param each told of each message before that: its index in the ring, and its bytes.
   */
  hear(each?: (index: number, size: number) => void): Heard[] {
    const { ring } = this.raw;
    const { words, base, byteLength } = ring.incoming;
    const end = ring.index('consume', PROD) >>> 0;
    const heard: Heard[] = [];
    while (this.consumed !== end) {
      const at = (base + (this.consumed % byteLength)) >> 2;
      const header = words[at] ?? 0;
      if ((header & 0xff) !== 0xff)
        heard.push({ type: header & 0xff, flags: (header >>> 8) & 0xff, word: words[at + 1] ?? 0 });
      if (header >>> 16 < 8) throw new Error(`the driver wrote a message of ${header >>> 16} bytes`);
      each?.(this.consumed, header >>> 16);
      this.consumed += header >>> 16;
    }
    ring.setIndex('consume', CONS, this.consumed);
    return heard;
  }
}

/** What an honest end says first. */
export const BURST: readonly number[] = [0x00080001, 64, 0x00080005, 18, 0x00080004, 0x0101];
