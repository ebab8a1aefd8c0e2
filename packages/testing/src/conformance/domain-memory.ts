import { type MemoryArea, PAGE_SIZE } from '@netchannel2/xen';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../seeded-random';
import { type DomainTrioFactory, required, withDomains } from './domain-trio';

const bytesAt = (area: MemoryArea, offset: number, length: number) =>
  area.bytes.slice(area.base + offset, area.base + offset + length);

function randomBytes(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  new SeededRandom(length).fill(bytes);
  return bytes;
}

/** RFC 1071 the plain way: folded, not complemented, in wire order. */
function referenceSum(bytes: Uint8Array, initial: number): number {
  let sum = initial;
  for (let index = 0; index < bytes.byteLength; index += 2) {
    sum += ((bytes[index] ?? 0) << 8) | (bytes[index + 1] ?? 0);
    sum = (sum & 0xffff) + (sum >>> 16);
  }
  return sum;
}

/** What every `DomainMemory` must do (`xen` port `memory`). */
export function describeDomainMemory(name: string, factory: DomainTrioFactory): void {
  describe(`domain memory: ${name}`, () => {
    it(
      'allocates zeroed, adjacent, aligned pages with frames of their own',
      withDomains(factory, ({ granter: { memory } }) => {
        const area = required(memory.allocate(3), 'an area');
        expect(area.byteLength).toBe(3 * PAGE_SIZE);
        expect(area.base % PAGE_SIZE).toBe(0);
        expect(area.pages.map((page) => page.base - area.base)).toEqual([0, PAGE_SIZE, 2 * PAGE_SIZE]);
        expect(area.pages.every((page) => page.byteLength === PAGE_SIZE && page.bytes === area.bytes)).toBe(
          true,
        );
        expect(new Set(area.pages.map((page) => page.frame)).size).toBe(3);
        expect(bytesAt(area, 0, area.byteLength).every((byte) => byte === 0)).toBe(true);
        memory.free(area);
      }),
    );

    it(
      'shows one memory through bytes and little-endian words',
      withDomains(factory, ({ granter: { memory } }) => {
        const area = required(memory.allocate(1), 'an area');
        area.words[(area.base >> 2) + 1] = 0x04030201;
        expect(bytesAt(area, 4, 4)).toEqual(Uint8Array.of(1, 2, 3, 4));
        memory.free(area);
      }),
    );

    it(
      'never hands out a page twice, and counts what is left',
      withDomains(factory, ({ granter: { memory } }) => {
        const before = memory.freePages;
        const areas = [1, 4, 2].map((count) => required(memory.allocate(count), 'an area'));
        const frames = areas.flatMap((area) => area.pages.map((page) => page.frame));
        expect(new Set(frames).size).toBe(7);
        expect(memory.freePages).toBe(before - 7);
        for (const area of areas) memory.free(area);
        expect(memory.freePages).toBe(before);
      }),
    );

    it(
      'answers undefined, and takes nothing, where there are not so many pages',
      withDomains(factory, ({ granter: { memory } }) => {
        const before = memory.freePages;
        expect(memory.allocate(before + 1)).toBeUndefined();
        expect(memory.freePages).toBe(before);
      }),
    );

    it(
      'keeps the memory of two domains apart',
      withDomains(factory, ({ granter, grantee }) => {
        const mine = required(granter.memory.allocate(2), 'an area');
        const theirs = required(grantee.memory.allocate(2), 'an area');
        granter.memory.copyIn(mine, 0, randomBytes(2 * PAGE_SIZE));
        expect(bytesAt(theirs, 0, 2 * PAGE_SIZE).every((byte) => byte === 0)).toBe(true);
        granter.memory.free(mine);
        grantee.memory.free(theirs);
      }),
    );

    it(
      'empties a freed area, and gives its pages out zeroed again',
      withDomains(factory, ({ granter: { memory } }) => {
        const area = required(memory.allocate(2), 'an area');
        memory.copyIn(area, 0, randomBytes(2 * PAGE_SIZE));
        memory.free(area);
        expect(area.byteLength).toBe(0);
        const rest = required(memory.allocate(Math.min(memory.freePages, 64)), 'an area');
        expect(bytesAt(rest, 0, rest.byteLength).every((byte) => byte === 0)).toBe(true);
        memory.free(rest);
      }),
    );

    it(
      'copies between areas, also where the ranges overlap',
      withDomains(factory, ({ granter: { memory } }) => {
        const source = required(memory.allocate(2), 'an area');
        const target = required(memory.allocate(2), 'an area');
        const bytes = randomBytes(2 * PAGE_SIZE);
        memory.copyIn(source, 0, bytes);
        memory.copy(target, 1, source, 3, 5000);
        expect(bytesAt(target, 0, 5002)).toEqual(Uint8Array.of(0, ...bytes.subarray(3, 5003), 0));
        memory.copy(source, 10, source, 0, 300);
        expect(bytesAt(source, 10, 300)).toEqual(bytes.slice(0, 300));
        memory.copyIn(source, 0, bytes);
        memory.copy(source, 0, source, 10, 300);
        expect(bytesAt(source, 0, 300)).toEqual(bytes.slice(10, 310));
        memory.copy(target, 0, source, 0, 0);
        memory.free(source);
        memory.free(target);
      }),
    );

    it(
      'copies heap bytes in where they are told to go',
      withDomains(factory, ({ granter: { memory } }) => {
        const area = required(memory.allocate(2), 'an area');
        memory.copyIn(area, PAGE_SIZE - 2, Uint8Array.of(1, 2, 3, 4));
        memory.copyIn(area, 0, new Uint8Array(0));
        expect(bytesAt(area, PAGE_SIZE - 3, 6)).toEqual(Uint8Array.of(0, 1, 2, 3, 4, 0));
        memory.free(area);
      }),
    );

    it(
      'sums any range as RFC 1071 does',
      withDomains(factory, ({ granter: { memory } }) => {
        const area = required(memory.allocate(2), 'an area');
        const bytes = randomBytes(2 * PAGE_SIZE);
        memory.copyIn(area, 0, bytes);
        const check = (offset: number, length: number, initial: number) => {
          const sum = memory.checksum(area, offset, length, initial);
          // 0 and 0xFFFF are both zero in ones' complement; which of them comes out is the order of folding.
          expect(sum % 0xffff).toBe(referenceSum(bytes.subarray(offset, offset + length), initial) % 0xffff);
          expect(sum).toBeLessThanOrEqual(0xffff);
        };
        const random = new SeededRandom(1071);
        for (let round = 0; round < 200; round += 1) {
          check(random.integer(0, 4096), random.integer(0, 4096), random.integer(0, 0xffff));
        }
        check(0, 2 * PAGE_SIZE, 0);
        check(5, 0, 0x1234);
        memory.copyIn(area, 0, new Uint8Array(2 * PAGE_SIZE).fill(0xff));
        expect(memory.checksum(area, 0, 2 * PAGE_SIZE, 0)).toBe(0xffff);
        memory.free(area);
      }),
    );
  });
}
