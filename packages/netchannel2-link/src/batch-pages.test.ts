import { FramePool, type PooledPage } from '@netchannel2/frames';
import { describe, expect, it } from 'vitest';
import { BatchPages } from './batch-pages';
import { FURTHER_PAGES } from './link-block';
import { TwoDomains } from './two-domains.fixture';

const MOST = 102;

function pagesOf(count: number) {
  const pool = FramePool.create(new TwoDomains().first.memory, count);
  if (pool === undefined) throw new Error('no pages');
  return { pool, pages: new BatchPages(pool, undefined, MOST) };
}

const held = (pages: readonly (PooledPage | undefined)[]) => pages.filter((page) => page !== undefined);

describe('the pages of a batch', () => {
  it('stay from batch to batch, and are nobody else’s meanwhile', () => {
    const { pool, pages } = pagesOf(40);
    expect(pages.prepare(0, 4)).toBe(4);
    expect(pages.takeFurther(0, 2)).toBe(true);
    expect(pages.takeFurther(1, 3)).toBe(true);
    const all = [...held(pages.first), ...held(pages.further)];
    expect(new Set(all).size).toBe(4 + 5);
    expect([pages.used, pool.available]).toEqual([5, 31]);
    pages.clear();
    expect(pages.prepare(0, 4)).toBe(4);
    expect(pages.takeFurther(0, 5)).toBe(true);
    expect([...held(pages.first), ...held(pages.further)]).toEqual(all);
    pages.clear();
    pages.end();
    expect([pool.available, pool.outstanding]).toEqual([40, 0]);
  });

  it('are anybody’s while nothing is expected', () => {
    const { pool, pages } = pagesOf(20);
    pages.prepare(0, 4);
    pages.takeFurther(0, 4);
    pages.clear();
    pages.rest();
    expect([pool.available, pool.outstanding]).toEqual([20, 0]);
    const all = Array.from({ length: 20 }, () => pool.take());
    expect(new Set(all).size).toBe(20);
    expect([held(pages.first), held(pages.further)]).toEqual([[], []]);
    expect(pages.prepare(0, 1)).toBe(0);
    for (const page of all) page?.release();
    expect(pages.prepare(0, 1)).toBe(1);
    pages.end();
    expect(pool.available).toBe(20);
  });

  it('leave half of the pool to others when they are taken ahead', () => {
    const { pool, pages } = pagesOf(40);
    expect(pages.prepare(0, 64)).toBe(20);
    expect(pages.prepareFurther(64)).toBe(10);
    expect(pool.available).toBe(10);
    expect([pages.used, held(pages.further).length]).toEqual([0, 10]);
    expect(pages.takeFurther(0, 3)).toBe(true);
    // What is there is enough.
    expect(pages.prepareFurther(7)).toBe(10);
    expect(pool.available).toBe(10);
    pages.end();
    expect(pool.available).toBe(40);
  });

  it('of packets to come go to the packet at hand', () => {
    const { pool, pages } = pagesOf(12);
    expect(pages.prepare(0, 6)).toBe(6);
    expect(pages.takeFurther(0, 11)).toBe(true);
    expect([pages.prepare(0, 6), pool.available]).toEqual([1, 0]);
    expect(pages.prepare(1, 1)).toBe(0);
    pages.end();
    expect(pool.available).toBe(12);
  });

  it('that wait for long packets go to one that has none', () => {
    const { pool, pages } = pagesOf(8);
    expect(pages.prepare(0, 1)).toBe(1);
    expect(pages.prepareFurther(3)).toBe(2);
    const others = Array.from({ length: 5 }, () => pool.take());
    expect(pages.takeFurther(0, 1)).toBe(true);
    expect(pages.prepare(1, 1)).toBe(1);
    expect(held(pages.further)).toHaveLength(1);
    for (const page of others) page?.release();
    pages.end();
    expect(pool.available).toBe(8);
  });

  it('are all or none', () => {
    const { pool, pages } = pagesOf(4);
    expect(pages.prepare(0, 1)).toBe(1);
    expect(pages.takeFurther(0, 4)).toBe(false);
    expect([pages.used, pool.available]).toEqual([0, 3]);
    expect(pages.takeFurther(0, 3)).toBe(true);
    pages.end();
    expect(pool.available).toBe(4);
  });

  it('that somebody holds are theirs when the batch is over', () => {
    const { pool, pages } = pagesOf(40);
    pages.prepare(0, 3);
    pages.takeFurther(0, 6);
    const kept = [pages.first[1], pages.further[0], pages.further[4]].filter((page) => page !== undefined);
    for (const page of kept) page.acquire();
    pages.clearRetained();
    expect([held(pages.first).length, held(pages.further).length, pages.used]).toEqual([2, 4, 0]);
    expect(pages.prepare(0, 3)).toBe(3);
    expect(pages.takeFurther(0, 6)).toBe(true);
    for (const page of [...held(pages.first), ...held(pages.further)]) expect(kept).not.toContain(page);
    pages.end();
    expect(pool.outstanding).toBe(3);
    for (const page of kept) page.release();
    expect(pool.available).toBe(40);
  });

  it.each([
    [256, FURTHER_PAGES],
    [128, 32],
  ])('are not kept beyond what a kernel may fill and a quarter of the pool: of %i, %i', (count, most) => {
    const { pool, pages } = pagesOf(count);
    pages.prepare(0, 1);
    expect(pages.takeFurther(0, FURTHER_PAGES + 20)).toBe(true);
    expect(pages.prepareFurther(1)).toBe(FURTHER_PAGES);
    pages.clear();
    expect(pool.outstanding).toBe(1 + most);
    pages.end();
    expect(pool.outstanding).toBe(0);
    pages.prepare(0, 1);
    expect(pages.prepareFurther(100)).toBe(most);
    pages.end();
  });
});
