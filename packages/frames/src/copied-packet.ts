import { type DomainMemory, type Frame, type LeasedPage, PAGE_SIZE } from '@netchannel2/xen';
import { completedChecksum } from './checksum-completion';
import { type PacketHeaders, PROTOCOL_UDP, transportChecksumOffset } from './headers';

/** Where pages for copies come from. */
export interface CopyPages {
  readonly available: number;
  take(): LeasedPage | undefined;
}

/** Pages a packet of `length` bytes fills. */
export function pagesOf(length: number): number {
  return (length + PAGE_SIZE - 1) >> 12;
}

/**
 * A packet copied to the beginning of pages of our own, one after another. One object is reused; whoever takes a page from
 * it takes over the page's lease.
 */
export class CopiedPacket {
  private readonly pages: LeasedPage[] = [];

  constructor(private readonly memory: DomainMemory) {}

  /** Takes pages for `length` bytes, all or none. */
  take(source: CopyPages, length: number): boolean {
    const count = pagesOf(length);
    if (source.available < count) return false;
    for (let index = 0; index < count; index += 1) {
      const page = source.take();
      if (page === undefined) return false;
      this.pages[index] = page;
    }
    return true;
  }

  page(index: number): LeasedPage {
    const page = this.pages[index];
    if (page === undefined) throw new Error('no page was taken for this part of the packet');
    return page;
  }

  /** Copies heap bytes to the packet's beginning. */
  copyBytes(bytes: Uint8Array): void {
    if (bytes.byteLength <= PAGE_SIZE) {
      this.memory.copyIn(this.page(0), 0, bytes);
      return;
    }
    for (let index = 0, at = 0; at < bytes.byteLength; index += 1, at += PAGE_SIZE) {
      this.memory.copyIn(this.page(index), 0, bytes.subarray(at, at + PAGE_SIZE));
    }
  }

  copyFrame(frame: Frame): void {
    this.copyPart(frame, 0, frame.byteLength, 0);
  }

  /** Copies bytes `[start, start + length)` of `frame` to byte `at` of the packet. */
  copyPart(frame: Frame, start: number, length: number, at: number): void {
    let skip = start;
    let to = at;
    const end = at + length;
    for (let index = 0; to < end; index += 1) {
      const whole = frame.fragmentLength(index);
      if (skip >= whole) {
        skip -= whole;
        continue;
      }
      const page = frame.fragmentPage(index);
      let from = frame.fragmentOffset(index) + skip;
      let left = whole - skip;
      skip = 0;
      while (left > 0 && to < end) {
        const space = PAGE_SIZE - (to % PAGE_SIZE);
        const piece = Math.min(left, space, end - to);
        this.memory.copy(this.page(to >> 12), to % PAGE_SIZE, page, from, piece);
        to += piece;
        from += piece;
        left -= piece;
      }
    }
  }

  /** Stores the checksum the frame copied here still lacks. `headers` are the frame's, with a known transport. */
  completeChecksum(frame: Frame, headers: PacketHeaders): void {
    const start = headers.transportOffset;
    const isUdp = headers.protocol === PROTOCOL_UDP;
    this.store16(
      start + transportChecksumOffset(headers.protocol),
      completedChecksum(this.memory, frame, start, isUdp),
    );
  }

  /** The folded sum over bytes `[start, end)` of the packet. */
  sum(start: number, end: number): number {
    let sum = 0;
    for (let at = start; at < end; ) {
      const piece = Math.min(end - at, PAGE_SIZE - (at % PAGE_SIZE));
      const part = this.memory.checksum(this.page(at >> 12), at % PAGE_SIZE, piece, 0);
      // A piece that starts at an odd byte of the range contributes with its bytes swapped (RFC 1071 §2).
      sum += ((at - start) & 1) === 1 ? ((part & 0xff) << 8) | (part >> 8) : part;
      at += piece;
    }
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    return sum;
  }

  /** Stores 16 bits in network byte order. */
  store16(offset: number, value: number): void {
    this.store(offset, value >> 8);
    this.store(offset + 1, value & 0xff);
  }

  private store(offset: number, value: number): void {
    const page = this.page(offset >> 12);
    page.bytes[page.base + (offset % PAGE_SIZE)] = value;
  }
}
