import { expect, it } from 'vitest';
import { MULTICAST_ADDRESSES_MAX, MulticastFilter } from './multicast-filter';

const GROUP = 0x01005e0000fb;

it('passes unicast and broadcast always, multicast when asked for', () => {
  const filter = new MulticastFilter();
  expect([filter.passes(0x00163e000001), filter.passes(0xffffffffffff), filter.passes(GROUP)]).toEqual([
    true,
    true,
    false,
  ]);
  filter.add(GROUP);
  expect(filter.passes(GROUP)).toBe(true);
  filter.delete(GROUP);
  expect(filter.passes(GROUP)).toBe(false);
});

it('vector 32: refuses the 65th address, duplicates included', () => {
  const filter = new MulticastFilter();
  for (let index = 0; index < MULTICAST_ADDRESSES_MAX; index += 1) expect(filter.add(GROUP)).toBe(true);
  expect(filter.add(GROUP + 1)).toBe(false);
  filter.delete(GROUP);
  expect(filter.passes(GROUP), 'one of the duplicates is left').toBe(true);
  expect(filter.add(GROUP + 1)).toBe(true);
});

it('deleting an unknown address is no error', () => {
  expect(() => new MulticastFilter().delete(GROUP)).not.toThrow();
});
