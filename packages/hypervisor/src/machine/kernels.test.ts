import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MachineMemory } from './machine-memory';

const memory = MachineMemory.create(4 * 1024 * 1024);
const BASE = memory.firstFrame << 12;

/** RFC 1071 as it is written down, one 16-bit word at a time. */
function referenceSum(bytes: Uint8Array, initial: number): number {
  let sum = initial;
  for (let index = 0; index < bytes.length; index += 2) {
    sum += ((bytes[index] as number) << 8) | (bytes[index + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum % 0x10000) + Math.floor(sum / 0x10000);
  return sum;
}

describe('checksum kernel', () => {
  it('sums the example of RFC 1071', () => {
    memory.bytes.set([0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7], BASE);
    expect(memory.kernels.checksum(BASE, 8, 0)).toBe(0xddf2);
  });

  it('sums nothing', () => {
    expect(memory.kernels.checksum(BASE, 0, 0)).toBe(0);
    expect(memory.kernels.checksum(BASE, 0, 0x1234)).toBe(0x1234);
  });

  it('agrees with the definition at any alignment, length and start value', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.nat(40),
        fc.nat(0xffff),
        (bytes, alignment, initial) => {
          memory.bytes.fill(0xa5, BASE, BASE + 400);
          memory.bytes.set(bytes, BASE + alignment);
          expect(memory.kernels.checksum(BASE + alignment, bytes.length, initial)).toBe(
            referenceSum(bytes, initial),
          );
        },
      ),
    );
  });

  it('does not overflow over long runs of ones', () => {
    const length = 1024 * 1024 + 1;
    memory.bytes.fill(0xff, BASE, BASE + length);
    expect(memory.kernels.checksum(BASE, length - 1, 0)).toBe(0xffff);
    expect(memory.kernels.checksum(BASE, length, 0)).toBe(0xff00);
    memory.bytes.fill(0, BASE, BASE + length);
  });
});

describe('copy kernel', () => {
  it('moves overlapping ranges', () => {
    memory.bytes.set([1, 2, 3, 4, 5, 6], BASE);
    memory.kernels.copy(BASE + 2, BASE, 4);
    expect([...memory.bytes.subarray(BASE, BASE + 6)]).toEqual([1, 2, 1, 2, 3, 4]);
  });

  it('traps outside the memory and writes nothing', () => {
    const last = memory.bytes.length - 1;
    expect(() => memory.kernels.copy(last, BASE, 2)).toThrow();
    expect(memory.bytes[last]).toBe(0);
  });
});

describe('machine memory', () => {
  it.each([0, 1, 65_536, 4 * 1024 * 1024 + 1, 2 ** 31 + 65_536])('refuses a size of %d bytes', (size) => {
    expect(() => MachineMemory.create(size)).toThrow(/memoryBytes/);
  });

  it('is found again by another thread’s views', () => {
    expect(MachineMemory.attach(memory.memory).frameCount).toBe(1024);
  });

  it('refuses to attach to foreign memory', () => {
    const foreign = { buffer: new SharedArrayBuffer(65_536) };
    expect(() => MachineMemory.attach(foreign)).toThrow(/no machine/);
  });
});
