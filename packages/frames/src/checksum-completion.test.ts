import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { completedChecksum } from './checksum-completion';
import { FramePool } from './frame-pool';
import { LeasedFrame } from './leased-frame';
import { FlatMemory } from './test-doubles/flat-memory';

/** A frame of these bytes, cut into pieces of these lengths. */
function pieced(pool: FramePool, bytes: Uint8Array, lengths: readonly number[]): LeasedFrame {
  const frame = new LeasedFrame();
  let done = 0;
  for (const length of [...lengths, bytes.byteLength]) {
    const piece = bytes.subarray(done, Math.min(done + length, bytes.byteLength));
    const page = piece.byteLength > 0 ? pool.take() : undefined;
    if (page === undefined) continue;
    pool.memory.copyIn(page, 3, piece);
    frame.addFragment(page, 3, piece.byteLength);
    done += piece.byteLength;
  }
  return frame;
}

/** RFC 1071, the plain way. */
function reference(bytes: Uint8Array): number {
  let sum = 0;
  for (let index = 0; index < bytes.byteLength; index += 2) {
    sum += ((bytes[index] ?? 0) << 8) | (bytes[index + 1] ?? 0);
    sum = (sum & 0xffff) + (sum >>> 16);
  }
  return ~sum & 0xffff;
}

function withPool<Result>(body: (pool: FramePool) => Result): Result {
  const pool = FramePool.create(new FlatMemory(32), 32);
  if (pool === undefined) throw new Error('the double has pages enough');
  return body(pool);
}

describe('completedChecksum', () => {
  it('agrees with RFC 1071 however the frame is cut, odd pieces included', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 20, maxLength: 300 }),
        fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 8 }),
        fc.nat(40),
        (bytes, lengths, start) => {
          withPool((pool) => {
            const frame = pieced(pool, bytes, lengths);
            const sum = completedChecksum(pool.memory, frame, start, false);
            expect(sum).toBe(reference(bytes.subarray(start)));
          });
        },
      ),
    );
  });

  it('leaves a correct sum behind: written into its field, the whole verifies', () => {
    withPool((pool) => {
      const bytes = Uint8Array.from({ length: 61 }, (_, index) => (index * 37) & 0xff);
      const value = completedChecksum(pool.memory, pieced(pool, bytes, [7, 13]), 14, false);
      const field = 14 + 16;
      const pseudo = ((bytes[field] ?? 0) << 8) | (bytes[field + 1] ?? 0);
      bytes[field] = value >> 8;
      bytes[field + 1] = value & 0xff;
      // What the receiver sums includes the pseudo header, which the blank field held.
      let total = (~reference(bytes.subarray(14)) & 0xffff) + pseudo;
      total = (total & 0xffff) + (total >>> 16);
      expect(total).toBe(0xffff);
    });
  });

  it('sends a UDP result of 0 as 0xFFFF, a TCP result of 0 as it is', () => {
    withPool((pool) => {
      const frame = pieced(pool, Uint8Array.of(0, 0, 0xff, 0xff), []);
      expect(completedChecksum(pool.memory, frame, 2, false)).toBe(0);
      expect(completedChecksum(pool.memory, frame, 2, true)).toBe(0xffff);
    });
  });
});
