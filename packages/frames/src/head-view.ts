import type { GrantedHead, MemoryArea } from '@netchannel2/xen';

/**
 * A packet's first bytes where a device keeps its private copy of them, to be looked at before the rest is there. One
 * object is loaded again for each packet.
 */
export class HeadView implements GrantedHead {
  offset = 0;
  byteLength = 0;

  constructor(public area: MemoryArea) {}

  /** Shows `byteLength` bytes at `offset` of the area; none, when the packet is over. */
  load(offset: number, byteLength: number): void {
    this.offset = offset;
    this.byteLength = byteLength;
  }

  uint8(offset: number): number {
    if (offset < 0 || offset >= this.byteLength) return 0;
    return this.area.bytes[this.area.base + this.offset + offset] as number;
  }

  uint16(offset: number): number {
    if (offset < 0 || offset + 2 > this.byteLength) return (this.uint8(offset) << 8) | this.uint8(offset + 1);
    const { bytes } = this.area;
    const at = this.area.base + this.offset + offset;
    return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
  }

  uint32(offset: number): number {
    return ((this.uint16(offset) << 16) | this.uint16(offset + 2)) >>> 0;
  }

  copyTo(target: Uint8Array, targetOffset = 0, start = 0, length = this.byteLength - start): number {
    const from = Math.max(0, start);
    const count = Math.min(length, this.byteLength - from, target.byteLength - targetOffset);
    if (count <= 0) return 0;
    const first = this.area.base + this.offset + from;
    target.set(this.area.bytes.subarray(first, first + count), targetOffset);
    return count;
  }

  toBytes(): Uint8Array {
    const bytes = new Uint8Array(this.byteLength);
    this.copyTo(bytes);
    return bytes;
  }
}
