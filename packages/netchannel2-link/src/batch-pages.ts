import type { FramePool, PageKeeper, PooledPage } from '@netchannel2/frames';
import { FURTHER_PAGES, type LinkBlock } from './link-block';
import { PASS_BUDGET } from './link-settings';

/**
 * The pages that the packets of a batch go to: one for each packet, and side by side, packet after packet, those behind the
 * first of the long ones. They stay from batch to batch, some ahead of the packets to come, until somebody wants them.
 */
export class BatchPages implements PageKeeper {
  /** Pages kept while no packets are expected; the pool's to write. */
  aside = 0;
  /** The page each packet starts in. */
  readonly first: (PooledPage | undefined)[];
  /** The pages behind the first. */
  readonly further: (PooledPage | undefined)[];
  /** Of {@link further}: those of the packets in the batch. */
  used = 0;
  /** Packets, from the first on, that have their first page. */
  private prepared = 0;
  /** Further pages there are. */
  private spare = 0;
  /** Further pages that are taken ahead or stay, at most: as many as a kernel may fill, and a quarter of the pool. */
  private readonly mostSpare: number;

  /** @param mostFurther pages behind the first that the packets of a batch have together, at most. */
  constructor(
    private readonly pool: FramePool,
    private readonly block: LinkBlock | undefined,
    mostFurther: number,
  ) {
    this.mostSpare = Math.min(FURTHER_PAGES, pool.capacity >> 2);
    this.first = new Array<PooledPage | undefined>(PASS_BUDGET).fill(undefined);
    this.further = new Array<PooledPage | undefined>(mostFurther).fill(undefined);
  }

  /**
   * Gives packets from `index` on, which is the next, their first pages; half of what the pool has is left to others.
   *
   * @param most 1 or more, at most what the batch has room for.
   * @returns how many of them have one: 0 when the pool is empty.
   */
  prepare(index: number, most: number): number {
    if (this.aside > 0) this.pool.takeUp(this);
    const end = index + most;
    if (this.prepared < end) {
      const lent = Math.max(1, this.pool.available >> 1);
      this.takeFirst(index, Math.min(end, Math.max(this.prepared, index) + lent));
    }
    return Math.max(0, Math.min(end, this.prepared) - index);
  }

  /**
   * Has further pages ready for a kernel, after {@link prepare}; half of what the pool has is left to others.
   *
   * @param most how many. @returns the index behind the last that a kernel may use, from {@link used} on.
   */
  prepareFurther(most: number): number {
    const end = Math.min(this.used + most, this.mostSpare);
    if (this.spare < end) {
      const lent = Math.min(end - this.spare, this.pool.available >> 1);
      for (let count = 0; count < lent; count += 1) this.addFurther(this.pool.take());
    }
    return Math.min(this.spare, FURTHER_PAGES);
  }

  /**
   * Takes `count` further pages into use for packet `index`, which has its first.
   *
   * @returns `false`: there are too few, and none was taken.
   */
  takeFurther(index: number, count: number): boolean {
    const { pool } = this;
    const end = this.used + count;
    if (pool.available < end - this.spare) this.returnFirst(index + 1);
    if (pool.available < end - this.spare) return false;
    while (this.spare < end) this.addFurther(pool.take());
    this.used = end;
    return true;
  }

  /** No packets are to come soon: the pages kept for them are anybody's. Only while the batch is empty. */
  rest(): void {
    const kept = this.prepared + this.spare;
    if (kept > 0 && this.aside === 0) this.pool.setAside(this, kept);
  }

  giveBack(): void {
    this.returnFirst(0);
    this.returnFurther(0);
  }

  /** The batch was carried out, and nobody else holds its pages: they stay for the next. */
  clear(): void {
    this.used = 0;
    if (this.spare > this.mostSpare) this.returnFurther(this.mostSpare);
  }

  /** As {@link clear}, where users hold pages still, which are theirs now, or packets had none. */
  clearRetained(): void {
    const { first, further } = this;
    const { prepared, spare } = this;
    this.prepared = 0;
    this.spare = 0;
    for (let index = 0; index < prepared; index += 1) {
      const page = first[index];
      first[index] = undefined;
      if (page === undefined) continue;
      if (page.leases > 1) page.release();
      else {
        this.putFirst(this.prepared, page);
        this.prepared += 1;
      }
    }
    for (let index = 0; index < spare; index += 1) {
      const page = further[index];
      further[index] = undefined;
      if (page === undefined) continue;
      if (page.leases > 1) page.release();
      else this.addFurther(page);
    }
    this.clear();
  }

  /** Nothing comes any more. */
  end(): void {
    this.used = 0;
    this.pool.takeUp(this);
    this.giveBack();
  }

  private takeFirst(index: number, end: number): void {
    // A packet that was refused may have no page.
    for (let next = Math.max(this.prepared, index); next < end; next += 1) {
      // Pages that wait for long packets go before a packet that has none.
      if (this.pool.available === 0) this.returnFurther(this.used);
      const page = this.pool.take();
      if (page === undefined) return;
      this.putFirst(next, page);
      this.prepared = next + 1;
    }
  }

  private putFirst(index: number, page: PooledPage): void {
    this.first[index] = page;
    this.block?.setPage(index, page.base, page.frame);
  }

  private addFurther(page: PooledPage | undefined): void {
    if (page === undefined) return;
    this.further[this.spare] = page;
    this.block?.setFurtherPage(this.spare, page.base, page.frame);
    this.spare += 1;
  }

  /** Packets from `index` on have no page ahead any more. */
  private returnFirst(index: number): void {
    for (let next = index; next < this.prepared; next += 1) {
      this.first[next]?.release();
      this.first[next] = undefined;
    }
    this.prepared = Math.min(this.prepared, index);
  }

  private returnFurther(index: number): void {
    for (let next = index; next < this.spare; next += 1) {
      this.further[next]?.release();
      this.further[next] = undefined;
    }
    this.spare = Math.min(this.spare, index);
  }
}
