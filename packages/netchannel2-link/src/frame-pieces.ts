import type { Frame, LeasedPage } from '@netchannel2/xen';
import { KEPT_PARTS } from './link-block';

/**
 * Where a frame in a few pieces lies, and a lease of each piece's page. Frames and pages are others' objects: all of it is asked
 * for before anything is done for the frame, so that one that sends another amid that finds nothing half done.
 */
export class FramePieces {
  count = 0;
  readonly pages = new Array<LeasedPage | undefined>(KEPT_PARTS).fill(undefined);
  readonly offsets = new Int32Array(KEPT_PARTS);
  readonly lengths = new Int32Array(KEPT_PARTS);
  private asking = false;

  /**
   * Asks `frame`, which has 2 to {@link KEPT_PARTS} pieces, and leases its pages.
   *
   * @param prefix inline bytes.
   * @returns `false`: these are not all in the first piece, or a piece is empty, or another frame is being asked. Nothing is leased.
   */
  take(frame: Frame, count: number, prefix: number): boolean {
    if (this.asking) return false;
    this.asking = true;
    try {
      return this.ask(frame, count, prefix) && this.acquire();
    } finally {
      this.asking = false;
    }
  }

  private ask(frame: Frame, count: number, prefix: number): boolean {
    const { pages, offsets, lengths } = this;
    this.count = count;
    let least = prefix;
    for (let index = 0; index < count; index += 1) {
      const length = frame.fragmentLength(index);
      if (length <= least) return false;
      least = 0;
      lengths[index] = length;
      offsets[index] = frame.fragmentOffset(index);
      pages[index] = frame.fragmentPage(index);
    }
    return true;
  }

  /** @throws what a page throws that cannot be leased; no other is then. */
  private acquire(): true {
    let held = 0;
    try {
      for (; held < this.count; held += 1) this.pages[held]?.acquire();
    } catch (error) {
      this.count = held;
      this.release();
      throw error;
    }
    return true;
  }

  /** Gives the leases back. */
  release(): void {
    for (let index = 0; index < this.count; index += 1) this.pages[index]?.release();
  }
}
