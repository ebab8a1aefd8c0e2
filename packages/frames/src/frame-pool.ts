import { type DomainMemory, type LeasedPage, PAGE_SIZE, type PageArea } from '@netchannel2/xen';
import { LeasedFrame } from './leased-frame';
import { type PageHome, PooledPage } from './pooled-page';

/** The longest frame: what a vif2 can carry; a vif takes one byte less (spec vif.md §2, vif2.md §3.2). */
export const MAX_FRAME_LENGTH = 65536;

/** Whoever keeps lent pages at hand that the pool may have back, see {@link FramePool.setAside}. */
export interface PageKeeper {
  /** How many are set aside; the pool's to write. */
  aside: number;
  /** Ends the leases of all pages that were set aside. */
  giveBack(): void;
}

/**
 * Pages of one domain, lent out one at a time. Allocation and return are O(1) and allocate nothing, so drivers take
 * their receive buffers from here for every frame. The number of pages is fixed: an empty pool is back-pressure, not a
 * reason to grow.
 */
export class FramePool implements PageHome {
  private readonly free: PooledPage[] = [];
  private lent = 0;
  /** Lent pages that come back when they are wanted, and who has them. */
  private aside = 0;
  private readonly keepers: PageKeeper[] = [];
  private closed = false;

  private constructor(
    /** The memory the pages come from, and the way to move bytes in them. */
    readonly memory: DomainMemory,
    private readonly area: PageArea,
  ) {
    for (let index = area.pages.length - 1; index >= 0; index -= 1) {
      const page = area.pages[index];
      if (page !== undefined) this.free.push(new PooledPage(page, this));
    }
  }

  /** A pool of `pageCount` pages, or `undefined` when the domain has not so many adjacent ones. */
  static create(memory: DomainMemory, pageCount: number): FramePool | undefined {
    const area = memory.allocate(pageCount);
    return area === undefined ? undefined : new FramePool(memory, area);
  }

  get available(): number {
    return this.free.length + this.aside;
  }

  /** Pages of the pool, lent or not. */
  get capacity(): number {
    return this.area.pages.length;
  }

  /** Pages whose leases have not ended: lent to frames, users or devices. */
  get outstanding(): number {
    return this.lent - this.aside;
  }

  /** A page with one lease, which the caller ends; `undefined` when all are lent. Contents are left from its last use. */
  take(): PooledPage | undefined {
    if (this.free.length === 0 && this.aside > 0) this.recall(1);
    const page = this.free.pop();
    if (page === undefined) return undefined;
    page.leases = 1;
    this.lent += 1;
    return page;
  }

  /** Takes `count` pages, each with one lease, to the beginning of `pages`. There are as many {@link available}. */
  takeAll(pages: LeasedPage[], count: number): void {
    const { free } = this;
    if (free.length < count) this.recall(count);
    for (let index = 0; index < count; index += 1) {
      const page = free.pop() as PooledPage;
      page.leases = 1;
      pages[index] = page;
    }
    this.lent += count;
  }

  /**
   * A frame of `length` bytes in pages of this pool, for its owner to fill and send; its bytes are undefined.
   *
   * @param length 1 … 65536; anything else is the caller's mistake and throws a RangeError.
   * @returns `undefined` when the pool has not enough pages.
   */
  allocateFrame(length: number): LeasedFrame | undefined {
    if (!(length >= 1 && length <= MAX_FRAME_LENGTH)) {
      throw new RangeError(`a frame holds 1 to ${MAX_FRAME_LENGTH} bytes, not ${length}`);
    }
    const count = Math.ceil(length / PAGE_SIZE);
    if (this.available < count) return undefined;
    const frame = new LeasedFrame();
    for (let left = length; left > 0; left -= PAGE_SIZE) {
      const page = this.take();
      if (page === undefined) break;
      frame.addFragment(page, 0, Math.min(left, PAGE_SIZE));
    }
    return frame;
  }

  /** A frame holding a copy of `bytes`, with one lease; `undefined` when the pool has not enough pages. */
  frameFrom(bytes: Uint8Array): LeasedFrame | undefined {
    const frame = this.allocateFrame(bytes.byteLength);
    if (frame === undefined) return undefined;
    let done = 0;
    for (let index = 0; index < frame.fragmentCount; index += 1) {
      const length = frame.fragmentLength(index);
      const piece = frame.fragmentCount === 1 ? bytes : bytes.subarray(done, done + length);
      this.memory.copyIn(frame.fragmentPage(index), 0, piece);
      done += length;
    }
    return frame;
  }

  /**
   * Sets `count` pages that `keeper` was lent aside: they are available to everybody, and given back when somebody wants
   * them. So a device that may go on soon need not return and take them one by one.
   */
  setAside(keeper: PageKeeper, count: number): void {
    if (this.closed) {
      keeper.giveBack();
      return;
    }
    keeper.aside = count;
    this.aside += count;
    this.keepers.push(keeper);
  }

  /** The pages that `keeper` set aside are its own again. */
  takeUp(keeper: PageKeeper): void {
    const { keepers } = this;
    const at = keepers.lastIndexOf(keeper);
    if (at < 0) return;
    if (at === keepers.length - 1) keepers.pop();
    else keepers.splice(at, 1);
    this.aside -= keeper.aside;
    keeper.aside = 0;
  }

  /** Has pages back that were set aside, until `count` are free. */
  private recall(count: number): void {
    while (this.free.length < count) {
      const keeper = this.keepers[0];
      if (keeper === undefined) return;
      this.takeUp(keeper);
      keeper.giveBack();
    }
  }

  /** Returns the memory now, or when the last lent page comes back. The pool lends nothing any more. */
  close(): void {
    if (this.closed) return;
    this.recall(this.capacity + 1);
    this.closed = true;
    this.free.length = 0;
    if (this.lent === 0) this.memory.free(this.area);
  }

  /** @internal */
  takeBack(page: PooledPage): void {
    this.lent -= 1;
    if (!this.closed) this.free.push(page);
    else if (this.lent === 0) this.memory.free(this.area);
  }
}
