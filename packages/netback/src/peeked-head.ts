import type { FrameView, LeasedPage } from '@netchannel2/xen';

/** Bytes of a packet that are copied to take a decision (spec vif.md §2). */
export const PEEK_BYTES = 128;

/** The first bytes of a packet, a private copy in a page of ours. One object is reused. */
export class PeekedHead implements FrameView {
  byteLength = 0;
  offset = 0;

  /** @param page some page, replaced by {@link show}. */
  constructor(public page: LeasedPage) {}

  show(page: LeasedPage, offset: number, length: number): void {
    this.page = page;
    this.offset = offset;
    this.byteLength = length;
  }

  uint8(offset: number): number {
    if (offset < 0 || offset >= this.byteLength) return 0;
    return this.page.bytes[this.page.base + this.offset + offset] ?? 0;
  }

  uint16(offset: number): number {
    return (this.uint8(offset) << 8) | this.uint8(offset + 1);
  }

  uint32(offset: number): number {
    return ((this.uint16(offset) << 16) | this.uint16(offset + 2)) >>> 0;
  }

  copyTo(target: Uint8Array, targetOffset = 0, start = 0, length = this.byteLength - start): number {
    const from = Math.max(0, start);
    const count = Math.min(length, this.byteLength - from, target.byteLength - targetOffset);
    for (let index = 0; index < count; index += 1) target[targetOffset + index] = this.uint8(from + index);
    return Math.max(0, count);
  }

  toBytes(): Uint8Array {
    const bytes = new Uint8Array(this.byteLength);
    this.copyTo(bytes);
    return bytes;
  }
}
