import { describe, expect, it } from 'vitest';
import { HeadView } from './head-view';

const bytes = Uint8Array.from({ length: 64 }, (_, index) => index + 1);
const area = { bytes, words: new Int32Array(bytes.buffer), base: 8, byteLength: 56 };

describe('HeadView', () => {
  it('reads what it was loaded with, in network order, and nothing beyond', () => {
    const head = new HeadView(area);
    head.load(4, 6);
    expect(head.toBytes()).toEqual(Uint8Array.of(13, 14, 15, 16, 17, 18));
    expect([head.uint8(0), head.uint16(1), head.uint32(2)]).toEqual([13, 0x0e0f, 0x0f101112]);
    expect([head.uint8(-1), head.uint8(6), head.uint16(5), head.uint32(4)]).toEqual([
      0, 0, 0x1200, 0x11120000,
    ]);
  });

  it('copies as much as there is and fits', () => {
    const head = new HeadView(area);
    head.load(0, 4);
    const target = new Uint8Array(4);
    expect(head.copyTo(target, 1, 2)).toBe(2);
    expect(target).toEqual(Uint8Array.of(0, 11, 12, 0));
    expect([head.copyTo(target, 4), head.copyTo(target, 0, 9), head.copyTo(target, 3)]).toEqual([0, 0, 1]);
  });

  it('is empty once the packet is over', () => {
    const head = new HeadView(area);
    head.load(0, 4);
    head.load(0, 0);
    expect([head.byteLength, head.uint8(0), head.toBytes().length]).toEqual([0, 0, 0]);
  });
});
