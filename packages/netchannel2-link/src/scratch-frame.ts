import { FrameCursor, type FramePool, type PooledPage } from '@netchannel2/frames';
import { type Frame, PAGE_SIZE } from '@netchannel2/xen';

/** Pages of the pool that sending leaves alone: two of the longest frames can always be received. */
const KEPT_FOR_RECEIVING = 34;

/**
 * Frames rebuilt in pages of the pool on their way out: heap bytes, and frames in more pieces than the peer takes. One
 * cursor serves all; its pages are given up by `end`, the sender holds leases of its own by then.
 */
export class ScratchFrame {
  readonly cursor = new FrameCursor();
  private readonly pages: PooledPage[] = [];
  private readonly keep: number;

  constructor(private readonly pool: FramePool) {
    this.keep = Math.min(KEPT_FOR_RECEIVING, (pool.available + pool.outstanding) >> 1);
  }

  /** A copy of heap bytes. `false`: the pool is empty; nothing is held. */
  fromBytes(bytes: Uint8Array): boolean {
    const length = bytes.byteLength;
    for (let done = 0; done < length; done += PAGE_SIZE) {
      const page = this.addPage();
      if (page === undefined) return false;
      const piece = Math.min(PAGE_SIZE, length - done);
      this.pool.memory.copyIn(page, 0, piece === length ? bytes : bytes.subarray(done, done + piece));
      this.cursor.addFragment(page, 0, piece);
    }
    return true;
  }

  /**
   * A copy of `frame` in as few pages as possible; the first `apart` bytes in a page of their own, or 0. `false`: the pool
   * is empty; nothing is held.
   */
  fromFrame(frame: Frame, apart: number): boolean {
    let end = apart > 0 ? apart : PAGE_SIZE;
    let page = this.addPage();
    if (page === undefined) return false;
    let filled = 0;
    for (let index = 0; index < frame.fragmentCount; index += 1) {
      const source = frame.fragmentPage(index);
      let from = frame.fragmentOffset(index);
      let left = frame.fragmentLength(index);
      while (left > 0) {
        if (filled === end) {
          this.cursor.addFragment(page, 0, filled);
          page = this.addPage();
          if (page === undefined) return false;
          filled = 0;
          end = PAGE_SIZE;
        }
        const piece = Math.min(left, end - filled);
        this.pool.memory.copy(page, filled, source, from, piece);
        filled += piece;
        from += piece;
        left -= piece;
      }
    }
    this.cursor.addFragment(page, 0, filled);
    this.cursor.checksum = frame.checksum;
    this.cursor.checksumStart = frame.checksumStart;
    this.cursor.checksumOffset = frame.checksumOffset;
    this.cursor.segmentation = frame.segmentation;
    this.cursor.segmentSize = frame.segmentSize;
    return true;
  }

  end(): void {
    this.cursor.end();
    for (let page = this.pages.pop(); page !== undefined; page = this.pages.pop()) page.release();
  }

  private addPage(): PooledPage | undefined {
    const page = this.pool.available > this.keep ? this.pool.take() : undefined;
    if (page === undefined) this.end();
    else this.pages.push(page);
    return page;
  }
}
