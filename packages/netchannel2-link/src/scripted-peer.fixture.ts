import type { ConnectedRings } from './link-settings';

/** One message as a peer reads it from the ring. */
export interface SeenMessage {
  readonly type: number;
  readonly flags: number;
  readonly bytes: Uint8Array;
}

/**
 * The other end of a link, by hand: writes any bytes into its ring and reads what comes, straight from the layout of
 * `uring.h`, without the codecs under test. It reads and publishes only when told to.
 */
export class ScriptedPeer {
  /** Bytes written so far; what `publish` shows. */
  produced = 0;
  consumed = 0;
  private readonly bytes: Uint8Array;
  private readonly data: DataView;
  private readonly ownStruct: number;
  private readonly otherStruct: number;

  /** @param rings as the peer has them: it produces on `rings.produce`. */
  constructor(
    private readonly rings: ConnectedRings,
    private readonly notify: () => void,
  ) {
    this.bytes = rings.control.bytes;
    this.data = new DataView(this.bytes.buffer);
    const frontend = rings.view.produce === 0;
    this.ownStruct = rings.control.base + (frontend ? 0 : 64);
    this.otherStruct = rings.control.base + (frontend ? 64 : 0);
  }

  /** Puts raw bytes at the write position, which must not wrap. */
  put(...bytes: number[]): this {
    const size = this.rings.produce.byteLength;
    for (const byte of bytes) {
      this.bytes[this.rings.produce.base + (this.produced % size)] = byte;
      this.produced += 1;
    }
    return this;
  }

  /** A whole message of `words` 32-bit words, preceded by a PAD where it would wrap. */
  message(...words: number[]): this {
    const size = this.rings.produce.byteLength;
    const left = size - (this.produced % size);
    if (words.length * 4 >= left) {
      this.put(0xff, 0, left & 0xff, left >> 8);
      this.produced += left - 4;
    }
    for (const word of words)
      this.put(word & 0xff, (word >> 8) & 0xff, (word >> 16) & 0xff, (word >> 24) & 0xff);
    return this;
  }

  /** SET_MAX_PACKETS, SET_MAX_FRAGMENTS_PER_PACKET 18, SET_OFFLOAD 1 1. */
  burst(maxPackets: number): this {
    return this.message(0x00080001, maxPackets).message(0x00080005, 18).message(0x00080004, 0x0101);
  }

  /** A PACKET without prefix and with one fragment. */
  packet(id: number, ref: number, size = 100, offset = 0, type = 1): this {
    return this.message(0x00200002, id, type, 0, 0, size | (offset << 16), ref, 0);
  }

  /** A small PACKET of 16 bytes. */
  small(id: number): this {
    return this.message(0x00280002, id, 4, 16, 0, 0x3e1600, 0x16000200, 0x0100003e, 0xb588, 0);
  }

  finish(id: number, flags = 0): this {
    return this.message(0x00080003 | (flags << 8), id);
  }

  /** Shows the link everything written, or claims to have written up to `produced`, and sends an event. */
  publish(produced = this.produced): this {
    this.data.setUint32(this.ownStruct, produced >>> 0, true);
    this.notify();
    return this;
  }

  /** Takes all messages there are, PADs left out, without handing their room back. */
  read(): SeenMessage[] {
    const size = this.rings.consume.byteLength;
    const end = this.data.getUint32(this.otherStruct, true);
    const seen: SeenMessage[] = [];
    while (this.consumed !== end) {
      const at = this.rings.consume.base + (this.consumed % size);
      const length = this.data.getUint16(at + 2, true);
      const type = this.bytes[at] ?? 0;
      if (length < 8) throw new Error(`message of ${length} bytes`);
      if (type !== 255)
        seen.push({ type, flags: this.bytes[at + 1] ?? 0, bytes: this.bytes.slice(at, at + length) });
      this.consumed += length;
    }
    return seen;
  }

  /** Hands the room of everything read back, or claims `consumed`. */
  acknowledge(consumed = this.consumed): this {
    this.data.setUint32(this.otherStruct + 4, consumed >>> 0, true);
    this.notify();
    return this;
  }
}

/** The 32-bit word `index` of a message. */
export function wordOf(message: SeenMessage, index: number): number {
  return new DataView(message.bytes.buffer, message.bytes.byteOffset).getUint32(4 * index, true);
}
