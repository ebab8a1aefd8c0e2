import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Watched, WatchTrie } from './watch-trie';

interface Named extends Watched {
  readonly id: number;
}

const path = fc
  .array(fc.constantFrom('a', 'b', 'ab'), { maxLength: 4 })
  .map((names) => (names.length === 0 ? '/' : `/${names.join('/')}`));
const levels = (place: string): number => (place === '/' ? 0 : place.split('/').length - 1);

/** The rule, one watch at a time. */
function matches(watch: Watched, event: string): boolean {
  const inside = event === watch.path || watch.path === '/' || event.startsWith(`${watch.path}/`);
  return inside && (watch.depth === undefined || levels(event) - levels(watch.path) <= watch.depth);
}

describe('WatchTrie', () => {
  it('finds what the rule says, from the root down, also after deletions', () => {
    const watch = fc.record({ path, depth: fc.option(fc.nat(3), { nil: undefined }) });
    fc.assert(
      fc.property(fc.array(watch, { maxLength: 20 }), fc.array(fc.nat(19)), path, (specs, deleted, event) => {
        const trie = new WatchTrie<Named>();
        const watches = specs.map((spec, id): Named => ({ ...spec, id }));
        for (const each of watches) trie.add(each);
        const kept = new Set(watches);
        for (const index of deleted) {
          const each = watches[index];
          if (each === undefined) continue;
          trie.delete(each);
          kept.delete(each);
        }
        const found: number[] = [];
        trie.matching(event, (each) => found.push(each.id));
        const expected = [...kept]
          .filter((each) => matches(each, event))
          .sort((a, b) => levels(a.path) - levels(b.path) || a.id - b.id);
        expect(found).toEqual(expected.map((each) => each.id));
        const exact: number[] = [];
        trie.exactly(event, (each) => exact.push(each.id));
        expect(exact).toEqual([...kept].filter((each) => each.path === event).map((each) => each.id));
        expect(trie.size).toBe(kept.size);
      }),
    );
  });
});
