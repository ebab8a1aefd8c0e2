import { FrameChecksum, FrameSegmentation } from '@netchannel2/xen';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameCursor } from './frame-cursor';
import { FramePool } from './frame-pool';
import { FlatMemory } from './test-doubles/flat-memory';

const pages = 8;

function poolOf(count = pages): FramePool {
  const pool = FramePool.create(new FlatMemory(count), count);
  if (pool === undefined) throw new Error('the double has pages enough');
  return pool;
}

/** What a driver does for one frame: fill the cursor, emit, end, release its pages. */
function emitted(
  pool: FramePool,
  pieces: readonly Uint8Array[],
  subscriber: (frame: FrameCursor) => void,
  cursor = new FrameCursor(),
): FrameCursor {
  const own = pieces.map((piece, index) => {
    const page = pool.take();
    if (page === undefined) throw new Error('pool empty');
    const offset = 16 * (index + 1);
    pool.memory.copyIn(page, offset, piece);
    cursor.addFragment(page, offset, piece.byteLength);
    return page;
  });
  subscriber(cursor);
  cursor.end();
  for (const page of own) page.release();
  return cursor;
}

const filled = (length: number, value: number) => new Uint8Array(length).fill(value);

describe('a frame during its emission', () => {
  const pieces = [Uint8Array.of(1, 2, 3), Uint8Array.of(4), Uint8Array.of(5, 6, 7, 8, 9)];
  const whole = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9);

  it('reads across its pieces in network byte order, 0 beyond the end', () => {
    emitted(poolOf(), pieces, (frame) => {
      expect(frame.byteLength).toBe(9);
      expect(frame.uint8(3)).toBe(4);
      expect(frame.uint16(2)).toBe(0x0304);
      expect(frame.uint32(2)).toBe(0x03040506);
      expect(frame.uint8(9)).toBe(0);
      expect(frame.uint8(-1)).toBe(0);
      expect(frame.uint16(8)).toBe(0x0900);
      expect(frame.uint32(9)).toBe(0);
    });
  });

  it('reads 32 bits as unsigned', () => {
    emitted(poolOf(), [filled(4, 0xff)], (frame) => expect(frame.uint32(0)).toBe(0xffffffff));
  });

  it('describes its pieces and refuses one it has not', () => {
    emitted(poolOf(), pieces, (frame) => {
      expect(frame.fragmentCount).toBe(3);
      expect([0, 1, 2].map((index) => frame.fragmentLength(index))).toEqual([3, 1, 5]);
      expect([0, 1, 2].map((index) => frame.fragmentOffset(index))).toEqual([16, 32, 48]);
      expect(frame.fragmentLength(3)).toBe(0);
      expect(() => frame.fragmentPage(3)).toThrow(RangeError);
    });
  });

  it('copies any range that fits, and says how much', () => {
    emitted(poolOf(), pieces, (frame) => {
      fc.assert(
        fc.property(
          fc.nat(12),
          fc.nat(12),
          fc.nat(12),
          fc.nat(4),
          (start, length, targetLength, targetOffset) => {
            const target = new Uint8Array(targetLength).fill(0xa5);
            const expected = target.slice();
            const part = whole
              .subarray(start, start + length)
              .subarray(0, Math.max(0, targetLength - targetOffset));
            if (targetOffset <= targetLength) expected.set(part, targetOffset);
            expect(frame.copyTo(target, targetOffset, start, length)).toBe(part.byteLength);
            expect(target).toEqual(expected);
          },
        ),
      );
    });
  });

  it('reads every view like the bytes it covers', () => {
    emitted(poolOf(), pieces, (frame) => {
      fc.assert(
        fc.property(fc.integer({ min: -2, max: 12 }), fc.integer({ min: -2, max: 12 }), (start, end) => {
          const view = frame.view(start, end);
          const expected = whole.slice(Math.max(0, start), Math.max(Math.max(0, start), end));
          expect(view.toBytes()).toEqual(expected);
          expect(view.uint8(0)).toBe(expected[0] ?? 0);
          expect(view.uint8(expected.byteLength)).toBe(0);
        }),
      );
    });
  });

  it('does not let a view look past its own end into the rest of the frame', () => {
    emitted(poolOf(), pieces, (frame) => {
      const view = frame.view(1, 3);
      expect(view.uint16(1)).toBe(0x0300);
      expect(view.copyTo(new Uint8Array(9))).toBe(2);
      expect(view.copyTo(new Uint8Array(9), 0, 2)).toBe(0);
    });
  });
});

describe('a frame after its emission', () => {
  it('is empty, and its views with it', () => {
    const views: ReturnType<FrameCursor['view']>[] = [];
    const cursor = emitted(poolOf(), [filled(60, 7)], (frame) => {
      frame.checksum = FrameChecksum.blank;
      frame.segmentation = FrameSegmentation.tcpv4;
      frame.segmentSize = 1448;
      views.push(frame.view(), frame.view(14, 20));
    });
    expect([cursor.byteLength, cursor.fragmentCount, cursor.segmentSize]).toEqual([0, 0, 0]);
    expect(cursor.checksum).toBe(FrameChecksum.unknown);
    expect(cursor.segmentation).toBe(FrameSegmentation.none);
    expect(cursor.toBytes()).toEqual(new Uint8Array(0));
    expect(cursor.retain()).toBeUndefined();
    for (const view of views) {
      expect(view.byteLength).toBe(0);
      expect(view.uint32(0)).toBe(0);
      expect(view.toBytes()).toEqual(new Uint8Array(0));
      expect(view.copyTo(new Uint8Array(60))).toBe(0);
    }
  });

  it('never shows the next packet through an old view', () => {
    const pool = poolOf(1);
    let old: ReturnType<FrameCursor['view']> | undefined;
    const cursor = emitted(pool, [filled(60, 1)], (frame) => {
      old = frame.view();
    });
    emitted(
      pool,
      [filled(60, 2)],
      () => {
        expect(old?.byteLength).toBe(0);
        expect(old?.uint8(0)).toBe(0);
      },
      cursor,
    );
    expect(old?.byteLength).toBe(0);
  });

  it('ends no lease when a subscriber releases what it was only shown', () => {
    const pool = poolOf(1);
    emitted(pool, [filled(60, 1)], (frame) => {
      frame.release();
      expect(frame.byteLength).toBe(60);
      expect(pool.outstanding).toBe(1);
    });
    expect(pool.outstanding).toBe(0);
  });
});

describe('a retained frame', () => {
  it('keeps bytes, pieces and properties while the cursor moves on', () => {
    const pool = poolOf(2);
    let kept: ReturnType<FrameCursor['retain']>;
    const cursor = emitted(pool, [filled(60, 1)], (frame) => {
      frame.checksum = FrameChecksum.blank;
      frame.checksumStart = 34;
      frame.checksumOffset = 16;
      frame.segmentation = FrameSegmentation.tcpv6;
      frame.segmentSize = 1428;
      kept = frame.retain();
    });
    emitted(pool, [filled(90, 2)], () => {}, cursor);
    expect(kept?.toBytes()).toEqual(filled(60, 1));
    expect([kept?.checksum, kept?.checksumStart, kept?.checksumOffset]).toEqual([
      FrameChecksum.blank,
      34,
      16,
    ]);
    expect([kept?.segmentation, kept?.segmentSize]).toEqual([FrameSegmentation.tcpv6, 1428]);
    expect(pool.outstanding).toBe(1);
    kept?.release();
    expect(pool.outstanding).toBe(0);
  });

  it('is empty after release, with its views, and releases once however often it is told to', () => {
    const pool = poolOf();
    const frame = pool.frameFrom(filled(5000, 3));
    const view = frame?.view(10);
    frame?.release();
    frame?.release();
    expect(frame?.byteLength).toBe(0);
    expect(view?.byteLength).toBe(0);
    expect(frame?.retain()).toBeUndefined();
    expect(pool.outstanding).toBe(0);
  });

  it('has as many leases as holders; each ends alone', () => {
    const pool = poolOf();
    const first = pool.frameFrom(filled(100, 4));
    const second = first?.retain();
    const viewOfFirst = first?.view();
    first?.release();
    expect(viewOfFirst?.byteLength).toBe(0);
    expect(second?.toBytes()).toEqual(filled(100, 4));
    expect(pool.outstanding).toBe(1);
    second?.release();
    expect(pool.outstanding).toBe(0);
  });

  it('accounts for every page over any sequence of emissions, retains and releases', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ size: fc.integer({ min: 1, max: 3 }), keep: fc.boolean(), drop: fc.nat(3) })),
        (steps) => {
          const pool = poolOf();
          const cursor = new FrameCursor();
          const held: { frame: NonNullable<ReturnType<FrameCursor['retain']>>; tag: number; size: number }[] =
            [];
          for (const [tag, step] of steps.entries()) {
            if (pool.available < step.size) held.shift()?.frame.release();
            if (pool.available < step.size) continue;
            const pieces = Array.from({ length: step.size }, () => filled(40, tag & 0xff));
            emitted(
              pool,
              pieces,
              (frame) => {
                const kept = step.keep ? frame.retain() : undefined;
                if (kept !== undefined) held.push({ frame: kept, tag: tag & 0xff, size: step.size });
              },
              cursor,
            );
            for (let count = step.drop; count > 0; count -= 1) held.shift()?.frame.release();
            const lent = held.reduce((sum, entry) => sum + entry.size, 0);
            expect(pool.outstanding).toBe(lent);
            for (const entry of held) {
              expect(entry.frame.toBytes()).toEqual(filled(40 * entry.size, entry.tag));
            }
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});
