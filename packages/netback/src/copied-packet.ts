import {
  completedChecksum,
  type PacketHeaders,
  PROTOCOL_UDP,
  transportChecksumOffset,
} from '@netchannel2/frames';
import { type DomainMemory, type Frame, type LeasedPage, PAGE_SIZE } from '@netchannel2/xen';

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
    let at = 0;
    for (let index = 0; index < frame.fragmentCount; index += 1) {
      const page = frame.fragmentPage(index);
      let from = frame.fragmentOffset(index);
      let left = frame.fragmentLength(index);
      while (left > 0) {
        const space = PAGE_SIZE - (at % PAGE_SIZE);
        const piece = left < space ? left : space;
        this.memory.copy(this.page(at >> 12), at % PAGE_SIZE, page, from, piece);
        at += piece;
        from += piece;
        left -= piece;
      }
    }
  }

  /** Stores the checksum the frame copied here still lacks. `headers` are the frame's, with a known transport. */
  completeChecksum(frame: Frame, headers: PacketHeaders): void {
    const start = headers.transportOffset;
    const isUdp = headers.protocol === PROTOCOL_UDP;
    const checksum = completedChecksum(this.memory, frame, start, isUdp);
    const field = start + transportChecksumOffset(headers.protocol);
    this.store(field, checksum >> 8);
    this.store(field + 1, checksum & 0xff);
  }

  private store(offset: number, value: number): void {
    const page = this.page(offset >> 12);
    page.bytes[page.base + (offset % PAGE_SIZE)] = value;
  }
}
