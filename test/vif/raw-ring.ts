import type { MemoryArea } from '@netchannel2/xen';

/**
 * A ring page as bytes at the offsets of the specification, for scripted peers: nothing here is shared with the drivers'
 * own code.
 */
export class RawRing {
  static readonly REQ_PROD = 0;
  static readonly REQ_EVENT = 4;
  static readonly RSP_PROD = 8;
  static readonly RSP_EVENT = 12;

  constructor(
    private readonly area: MemoryArea,
    private readonly pageOffset: number,
    private readonly slotBytes: number,
    private readonly slotCount = 256,
  ) {}

  initialise(): void {
    for (let offset = 0; offset < 4096; offset += 4) this.set32(offset, 0);
    this.set32(RawRing.REQ_EVENT, 1);
    this.set32(RawRing.RSP_EVENT, 1);
  }

  get32(offset: number): number {
    return Atomics.load(this.area.words, (this.area.base + this.pageOffset + offset) >> 2) >>> 0;
  }

  set32(offset: number, value: number): void {
    Atomics.store(this.area.words, (this.area.base + this.pageOffset + offset) >> 2, value | 0);
  }

  /** Bytes of slot `index`. */
  slot(index: number): Uint8Array {
    const start = this.area.base + this.pageOffset + 64 + (index % this.slotCount) * this.slotBytes;
    return this.area.bytes.subarray(start, start + this.slotBytes);
  }

  /** Writes fields of 1, 2 or 4 bytes one after another into slot `index`. */
  write(index: number, ...fields: readonly (readonly [bytes: 1 | 2 | 4, value: number])[]): void {
    const slot = this.slot(index);
    let at = 0;
    for (const [bytes, value] of fields) {
      for (let byte = 0; byte < bytes; byte += 1) slot[at++] = (value >>> (8 * byte)) & 0xff;
    }
  }

  /** A 16-bit field of slot `index`, signed. */
  signed16(index: number, offset: number): number {
    const slot = this.slot(index);
    return (((slot[offset] ?? 0) | ((slot[offset + 1] ?? 0) << 8)) << 16) >> 16;
  }

  unsigned32(index: number, offset: number): number {
    const slot = this.slot(index);
    return [0, 1, 2, 3].reduce((value, byte) => value + (slot[offset + byte] ?? 0) * 2 ** (8 * byte), 0);
  }
}
