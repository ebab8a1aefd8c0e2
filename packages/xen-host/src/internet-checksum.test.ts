import { describe, expect, it } from 'vitest';
import { internetChecksum } from './internet-checksum';

/** RFC 1071 the plain way, in wire order. */
function plainSum(bytes: Uint8Array): number {
  let sum = 0;
  for (let index = 0; index < bytes.byteLength; index += 2) {
    sum += ((bytes[index] ?? 0) << 8) | (bytes[index + 1] ?? 0);
    sum = (sum & 0xffff) + (sum >>> 16);
  }
  return sum;
}

describe('internetChecksum', () => {
  const buffer = new ArrayBuffer(0x40000);
  const bytes = new Uint8Array(buffer);
  const words = new Int32Array(buffer);
  bytes.forEach((_, index) => {
    bytes[index] = (index * 167 + (index >> 7)) & 0xff;
  });

  it('sums every alignment of start and end', () => {
    for (let start = 0; start < 9; start++) {
      for (let length = 0; length < 23; length++) {
        const expected = plainSum(bytes.subarray(start, start + length));
        expect(internetChecksum(bytes, words, start, length, 0) % 0xffff).toBe(expected % 0xffff);
      }
    }
  });

  it('sums ranges longer than what fits one chunk, and goes on from an initial sum', () => {
    for (const [start, length] of [
      [0, 0x40000],
      [3, 0x3fff1],
    ] as const) {
      const expected = plainSum(bytes.subarray(start, start + length)) + 0xabcd;
      expect(internetChecksum(bytes, words, start, length, 0xabcd) % 0xffff).toBe(expected % 0xffff);
    }
    bytes.fill(0xff);
    expect(internetChecksum(bytes, words, 1, 0x3fffe, 0)).toBe(0xffff);
  });
});
