import { FramePool, LeasedFrame } from '@netchannel2/frames';
import { describe, expect, it } from 'vitest';
import { FramePieces } from './frame-pieces';
import { TwoDomains } from './two-domains.fixture';

describe('pieces of a frame', () => {
  it('are leased all or none', () => {
    const pool = FramePool.create(new TwoDomains().first.memory, 3);
    const pages = Array.from({ length: 3 }, () => pool?.take());
    const frame = new LeasedFrame();
    for (const page of pages) {
      if (page === undefined) throw new Error('no pages');
      frame.addFragment(page, 0, 100);
    }
    const pieces = new FramePieces();
    expect(pieces.take(frame, 3, 64)).toBe(true);
    expect(pages.map((page) => page?.leases)).toEqual([2, 2, 2]);
    pieces.release();
    // One that has no lease any more.
    pages[2]?.release();
    expect(() => pieces.take(frame, 3, 64)).toThrow('page acquired after its last lease ended');
    expect(pages.map((page) => page?.leases)).toEqual([1, 1, 0]);
    expect(pieces.take(frame, 2, 100)).toBe(false);
    expect(pages.map((page) => page?.leases)).toEqual([1, 1, 0]);
    expect(pieces.take(frame, 2, 64)).toBe(true);
  });
});
