import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UnfinishedIds } from './unfinished-ids';

const SOME = [0, 1, 4095, 4096, 4097, -1, 0x7fffffff, 1 << 16, 1 << 17, (1 << 17) + 4096, 5 << 16];

describe('UnfinishedIds', () => {
  it('is a set, whatever ids collide', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...SOME), { maxLength: 200 }), (toggles) => {
        const set = new UnfinishedIds(SOME.length);
        const model = new Set<number>();
        for (const id of toggles) {
          if (model.delete(id)) set.remove(id);
          else {
            set.add(id);
            model.add(id);
          }
          expect(set.size).toBe(model.size);
          for (const each of SOME) expect(set.has(each)).toBe(model.has(each));
        }
      }),
    );
  });
});
