import { type DomainMemory, guestFrame, type MemoryArea, PAGE_SIZE, type PageArea } from '@netchannel2/xen';

/** A domain's memory as one flat buffer; page 0 is never handed out. Freed areas read as empty. */
export class FlatMemory implements DomainMemory {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  private next = 1;
  private freed = 0;

  constructor(private readonly pageCount: number) {
    this.bytes = new Uint8Array((pageCount + 1) * PAGE_SIZE);
    this.words = new Int32Array(this.bytes.buffer);
  }

  get freePages(): number {
    return this.pageCount - (this.next - 1) + this.freed;
  }

  allocate(pageCount: number): PageArea | undefined {
    if (this.next - 1 + pageCount > this.pageCount) return undefined;
    const first = this.next;
    this.next += pageCount;
    const pages = Array.from({ length: pageCount }, (_, index) => ({
      bytes: this.bytes,
      words: this.words,
      base: (first + index) * PAGE_SIZE,
      byteLength: PAGE_SIZE,
      frame: guestFrame(first + index),
    }));
    return {
      bytes: this.bytes,
      words: this.words,
      base: first * PAGE_SIZE,
      byteLength: pageCount * PAGE_SIZE,
      pages,
    };
  }

  free(area: PageArea): void {
    this.freed += area.pages.length;
  }

  copy(
    target: MemoryArea,
    targetOffset: number,
    source: MemoryArea,
    sourceOffset: number,
    length: number,
  ): void {
    const from = source.base + sourceOffset;
    target.bytes.set(source.bytes.slice(from, from + length), target.base + targetOffset);
  }

  copyIn(target: MemoryArea, targetOffset: number, source: Uint8Array): void {
    target.bytes.set(source, target.base + targetOffset);
  }

  checksum(area: MemoryArea, offset: number, length: number, initial: number): number {
    let sum = initial;
    for (let index = 0; index < length; index += 1) {
      const byte = area.bytes[area.base + offset + index] ?? 0;
      sum += index % 2 === 0 ? byte << 8 : byte;
    }
    while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
    return sum;
  }
}
