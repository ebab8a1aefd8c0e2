import { describe, expect, it } from 'vitest';
import { ReferenceAllocator } from './reference-allocator';

function allocator(entries: number): ReferenceAllocator {
  const references = new ReferenceAllocator();
  references.extend(entries);
  return references;
}

describe('ReferenceAllocator', () => {
  it('gives out all but the reserved references, lowest first, then -1', () => {
    const references = allocator(12);
    expect(Array.from({ length: 5 }, () => references.take())).toEqual([8, 9, 10, 11, -1]);
    expect([references.free, references.known]).toEqual([0, 12]);
  });

  it('takes back only what it gave, and once', () => {
    const references = allocator(12);
    const ref = references.take();
    references.put(ref);
    for (const wrong of [ref, 0, 11, -1, 4000]) expect(() => references.put(wrong)).toThrow(RangeError);
    expect(references.free).toBe(4);
  });

  it('serves a large request before later small ones', () => {
    const references = allocator(12);
    const taken = Array.from({ length: 4 }, () => references.take());
    const log: number[] = [];
    references.whenFree(3, () => log.push(3));
    references.whenFree(1, () => log.push(1));
    for (const [index, ref] of taken.entries()) {
      references.put(ref);
      expect(log).toEqual(index < 2 ? [] : [3, 1]);
    }
  });

  it('lets the one it serves take what is there before the next is asked', () => {
    const references = allocator(9);
    const ref = references.take();
    const log: string[] = [];
    references.whenFree(1, () => log.push(`first ${references.take()}`));
    references.whenFree(1, () => log.push('second'));
    references.put(ref);
    expect(log).toEqual(['first 8']);
    references.put(ref);
    expect(log).toEqual(['first 8', 'second']);
  });

  it('forgets waiters who gave up, and all of them at the end', () => {
    const references = allocator(9);
    const ref = references.take();
    const log: string[] = [];
    references.whenFree(1, () => log.push('gave up'))();
    references.whenFree(1, () => log.push('ended'));
    references.stop();
    references.put(ref);
    expect(log).toEqual([]);
  });
});
