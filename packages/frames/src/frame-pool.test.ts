import { describe, expect, it } from 'vitest';
import { FramePool, type PageKeeper } from './frame-pool';
import type { PooledPage } from './pooled-page';
import { FlatMemory } from './test-doubles/flat-memory';

function poolOf(pages: number) {
  const memory = new FlatMemory(pages);
  const pool = FramePool.create(memory, pages);
  if (pool === undefined) throw new Error('the double has pages enough');
  return { memory, pool };
}

/** Keeps `count` pages of the pool, set aside. */
function keeperOf(pool: FramePool, count: number) {
  const pages: PooledPage[] = [];
  for (let index = 0; index < count; index += 1) {
    const page = pool.take();
    if (page !== undefined) pages.push(page);
  }
  const keeper: PageKeeper & { readonly pages: PooledPage[] } = {
    aside: 0,
    pages,
    giveBack: () => {
      for (const page of pages.splice(0)) page.release();
    },
  };
  pool.setAside(keeper, count);
  return keeper;
}

const bytesOf = (length: number) => Uint8Array.from({ length }, (_, index) => (index * 7 + 1) & 0xff);

describe('FramePool', () => {
  it('is refused where the domain has not so many pages', () => {
    expect(FramePool.create(new FlatMemory(3), 4)).toBeUndefined();
  });

  it('lends each page once, until none is left', () => {
    const { pool } = poolOf(3);
    const bases = [pool.take(), pool.take(), pool.take()].map((page) => page?.base);
    expect(new Set(bases).size).toBe(3);
    expect(pool.take()).toBeUndefined();
    expect(pool.available).toBe(0);
    expect(pool.outstanding).toBe(3);
  });

  it('gets a page back with its last lease, not before', () => {
    const { pool } = poolOf(1);
    const page = pool.take();
    page?.acquire();
    page?.release();
    expect(pool.available).toBe(0);
    page?.release();
    expect(pool.available).toBe(1);
    expect(pool.outstanding).toBe(0);
  });

  it('names the mistake when a page is released too often or acquired too late', () => {
    const { pool } = poolOf(1);
    const page = pool.take();
    page?.release();
    expect(() => page?.release()).toThrow('released more often');
    expect(() => page?.acquire()).toThrow('retain the frame while it is valid');
  });

  it.each([
    [1, 1],
    [4096, 1],
    [4097, 2],
    [65535, 16],
    [65536, 16],
  ])('holds a frame of %i bytes in %i pages', (length, pages) => {
    const { pool } = poolOf(17);
    const bytes = bytesOf(length);
    const frame = pool.frameFrom(bytes);
    expect(frame?.fragmentCount).toBe(pages);
    expect(frame?.byteLength).toBe(length);
    expect(frame?.toBytes()).toEqual(bytes);
    frame?.release();
    expect(pool.outstanding).toBe(0);
  });

  it.each([0, -1, 65537, Number.NaN])('refuses a frame of %s bytes by name', (length) => {
    const { pool } = poolOf(17);
    expect(() => pool.allocateFrame(length)).toThrow(RangeError);
  });

  it('takes no page for a frame it has not room enough for', () => {
    const { pool } = poolOf(2);
    expect(pool.allocateFrame(8193)).toBeUndefined();
    expect(pool.available).toBe(2);
  });

  it('returns its memory on close when nothing is lent', () => {
    const { memory, pool } = poolOf(4);
    pool.close();
    pool.close();
    expect(memory.freePages).toBe(4);
    expect(pool.take()).toBeUndefined();
  });

  it('keeps its memory past close until the last lease ends, and the frame readable meanwhile', () => {
    const { memory, pool } = poolOf(4);
    const frame = pool.frameFrom(bytesOf(5000));
    pool.close();
    expect(memory.freePages).toBe(0);
    expect(frame?.toBytes()).toEqual(bytesOf(5000));
    frame?.release();
    expect(memory.freePages).toBe(4);
    expect(pool.take()).toBeUndefined();
  });

  it('lends pages that were set aside to whoever wants them, once no others are free', () => {
    const { pool } = poolOf(4);
    const keeper = keeperOf(pool, 3);
    expect([pool.available, pool.outstanding]).toEqual([4, 0]);
    pool.take();
    expect([keeper.pages.length, pool.available, pool.outstanding]).toEqual([3, 3, 1]);
    pool.take();
    expect([keeper.pages.length, keeper.aside, pool.available, pool.outstanding]).toEqual([0, 0, 2, 2]);
  });

  it('has as many back as a frame, or many pages at once, need, from one keeper after the other', () => {
    const { pool } = poolOf(5);
    const [first, second] = [keeperOf(pool, 2), keeperOf(pool, 2)];
    expect(pool.allocateFrame(3 * 4096)?.fragmentCount).toBe(3);
    expect([first.pages.length, second.pages.length, pool.available]).toEqual([0, 2, 2]);
    pool.takeAll([], 2);
    expect([second.pages.length, pool.available, pool.outstanding]).toEqual([0, 0, 5]);
  });

  it('leaves pages that were taken up again to their keeper', () => {
    const { pool } = poolOf(3);
    const [first, second] = [keeperOf(pool, 1), keeperOf(pool, 1)];
    pool.takeUp(first);
    pool.takeUp(first);
    expect([pool.available, pool.outstanding]).toEqual([2, 1]);
    pool.takeAll([], 2);
    expect(pool.take()).toBeUndefined();
    expect([first.pages.length, second.pages.length]).toEqual([1, 0]);
  });

  it('has pages that were set aside back when it is closed, and those that are set aside later at once', () => {
    const { memory, pool } = poolOf(3);
    const keeper = keeperOf(pool, 2);
    const late = pool.take();
    pool.close();
    expect([keeper.pages.length, memory.freePages]).toEqual([0, 0]);
    pool.setAside({ aside: 0, giveBack: () => late?.release() }, 1);
    expect(memory.freePages).toBe(3);
  });
});
