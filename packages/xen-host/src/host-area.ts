import type { GuestFrame, PageArea } from '@netchannel2/xen';
import { guestFrame, PAGE_SIZE } from '@netchannel2/xen';

/**
 * A run of pages and each single page of it, one class for both: own pages inside the arena, shared and mapped pages in views
 * of their own.
 */
export class HostArea implements PageArea {
  readonly pages: readonly HostArea[];

  private constructor(
    readonly bytes: Uint8Array,
    readonly words: Int32Array,
    public base: number,
    public byteLength: number,
    readonly frame: GuestFrame,
    pages: readonly HostArea[] | undefined,
  ) {
    this.pages = pages ?? [this];
  }

  /** `pageCount` pages from `base` on; their frames are counted from `firstFrame`. */
  static of(
    bytes: Uint8Array,
    words: Int32Array,
    base: number,
    pageCount: number,
    firstFrame: number,
  ): HostArea {
    const first = guestFrame(firstFrame);
    if (pageCount === 1) return new HostArea(bytes, words, base, PAGE_SIZE, first, undefined);
    const pages = Array.from(
      { length: pageCount },
      (_, index) =>
        new HostArea(
          bytes,
          words,
          base + index * PAGE_SIZE,
          PAGE_SIZE,
          guestFrame(firstFrame + index),
          undefined,
        ),
    );
    return new HostArea(bytes, words, base, pageCount * PAGE_SIZE, first, pages);
  }

  /** Lets go of the memory: area and pages read as empty, at `deadBase`, where nothing lies. */
  detach(deadBase: number): void {
    for (const page of this.pages) {
      page.base = deadBase;
      page.byteLength = 0;
    }
    this.base = deadBase;
    this.byteLength = 0;
  }
}
