import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UnfinishedIds } from './unfinished-ids';

describe('UnfinishedIds', () => {
  it('is a set, whatever ids collide', () => {
    const id = fc.oneof(fc.integer({ min: 0, max: 12 }), fc.constantFrom(-1, 0x7fffffff, 1 << 16, 1 << 17));
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), id), { maxLength: 200 }), (steps) => {
        const set = new UnfinishedIds(17);
        const model = new Set<number>();
        for (const [add, value] of steps) {
          if (!add) {
            set.remove(value);
            model.delete(value);
          } else if (!model.has(value)) {
            set.add(value);
            model.add(value);
          }
          expect(set.size).toBe(model.size);
          for (const each of [...Array(13).keys(), -1, 0x7fffffff, 1 << 16, 1 << 17])
            expect(set.has(each)).toBe(model.has(each));
        }
      }),
    );
  });
});
