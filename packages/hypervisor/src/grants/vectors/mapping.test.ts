import { describe, expect, it, vi } from 'vitest';
import { A, B, C, GrantBench, SELF } from './grant-bench';
import { checkRows, type VectorRow } from './vector-rows';

const BAD_FRAME = 0x7777;
const repeat = <Value>(count: number, make: (index: number) => Value): Value[] =>
  Array.from({ length: count }, (_, index) => make(index));

const VERSION_1: readonly VectorRow[] = [
  [
    'M1: a writable map sets both bits and one host-write pin',
    (b) => {
      b.e(1, B, b.F);
      const status = b.map(2);
      return [status, b.flags(), b.pin(), b.mapping().device === b.machineFrame(A, b.F) * 4096];
    },
    [0, 0x19, 1, true],
  ],
  ['M2: a read-only map', (b) => [b.e(1, B, b.F), b.map(6), b.flags(), b.pin()].slice(1), [0, 9, 0x100]],
  ['M3: readonly entry, writable map', (b) => [b.e(5, B, b.F), b.map(2), b.flags()].slice(1), [-1, 5]],
  ['M4: readonly entry, read-only map', (b) => [b.e(5, B, b.F), b.map(6), b.flags()].slice(1), [0, 0xd]],
  ['M5: the entry names another', (b) => [b.e(1, C, b.F), b.map(2), b.flags()].slice(1), [-1, 1]],
  [
    'M6: DOMID_SELF in an entry names nobody',
    (b) => [b.e(1, SELF, b.F), b.map(2, { caller: A })].slice(1),
    [-1],
  ],
  [
    'M7: an own grant by the real id',
    (b) => [b.e(1, A, b.F), b.map(2, { caller: A }), b.flags()].slice(1),
    [0, 0x19],
  ],
  ['M8: type invalid', (b) => [b.e(0, B, b.F), b.map(6)].slice(1), [-1]],
  ['M9: type accept_transfer', (b) => [b.e(2, B, b.F), b.map(6), b.flags()].slice(1), [-1, 2]],
  ['M10: no transitive in version 1', (b) => [b.e(3, B, b.F), b.map(6), b.from()].slice(1), [-1, -1]],
  ['M11: sub_page never maps', (b) => [b.e(0x101, B, b.F), b.map(6), b.flags()].slice(1), [-1, 0x101]],
  [
    'M12: sub_page in version 1 copies the whole page',
    (b) => [b.e(0x101, B, b.F), b.from(0, 4096), b.flags()].slice(1),
    [0, 0x101],
  ],
  ['M13: undefined bits are kept', (b) => [b.e(0xfe01, B, b.F), b.map(6), b.flags()].slice(1), [0, 0xfe09]],
  [
    'M14: neither map flag, before anything else',
    (b) => [b.e(1, B, b.F), b.map(4), b.map(0), b.map(0, { dom: 77 })].slice(1),
    [-3, -3, -3],
  ],
  [
    'M15: an HVM caller asks for what only PV has',
    (b) => [b.e(1, B, b.F), b.map(3), b.map(0x12), b.map(0xa), b.flags()].slice(1),
    [-1, -1, -1, 1],
  ],
  ['M16: DOMID_SELF as the granter', (b) => b.map(6, { dom: SELF }), -2],
  ['M17: the domain is looked up before the reference', (b) => b.map(6, { dom: 77, ref: 4000 }), -2],
  [
    'M18: the last reference of version 1, and one more',
    (b) => [b.e(1, B, b.F, 511), b.map(6, { ref: 511 }), b.map(6, { ref: 512 })].slice(1),
    [0, -3],
  ],
  [
    'M20: read-only, then writable: two handles',
    (b) => {
      b.e(1, B, b.F);
      const first = [b.map(6), b.flags()];
      const second = [b.map(2), b.flags(), b.pin()];
      return [...first, ...second, b.mapping(0).handle !== b.mapping(1).handle];
    },
    [0, 9, 0, 0x19, 0x101, true],
  ],
  [
    'M21: made read-only between the two',
    (b) => {
      b.e(1, B, b.F);
      b.map(6);
      b.orFlags(4);
      return [b.map(2), b.flags(), b.pin(), b.un()];
    },
    [-1, 0xd, 0x100, 0],
  ],
  [
    'M22: made read-only while a write pin exists: not looked at',
    (b) => {
      b.e(1, B, b.F);
      b.map(2);
      b.orFlags(4);
      return [b.map(2), b.pin(), b.flags()];
    },
    [0, 2, 0x1d],
  ],
  [
    'M23: another grantee in the entry of a grant in use',
    (b) => {
      b.e(1, B, b.F);
      b.map(6);
      b.setDom(C);
      return [b.map(6, { caller: C }), b.map(6)];
    },
    [-1, 0],
  ],
  [
    'M24: another frame in the entry of a grant in use',
    (b) => {
      b.e(1, B, b.F);
      b.map(6);
      b.setFrame(b.G);
      return [b.map(6), b.mapping(1).device === b.mapping(0).device];
    },
    [0, true],
  ],
  [
    'M25: 128 pins of a kind, and no more',
    (b) => {
      b.e(1, B, b.F);
      const statuses = new Set(repeat(128, () => b.map(6)));
      return [[...statuses], b.map(6), b.map(2)];
    },
    [[0], -1, 0],
  ],
  [
    'M26: no such page: nothing is left, the handle is free',
    (b) => {
      b.e(1, B, BAD_FRAME);
      return [b.map(6), b.flags(), b.pin()];
    },
    [-9, 1, 0],
  ],
  [
    'M33: one maptrack frame has 255 handles',
    (b) => {
      b.e(1, B, b.F);
      b.e(1, B, b.F, 9);
      const statuses = repeat(256, (index) => b.map(6, { ref: 8 + (index & 1) }));
      return [statuses.filter((status) => status === 0).length, statuses[255]];
    },
    [255, -13],
    { maxMaptrackFrames: 1 },
  ],
  [
    'handles used up, then given back: maps succeed again, to the last handle',
    (b) => {
      b.e(1, B, b.F);
      b.e(1, B, b.F, 9);
      const fill = () => repeat(256, (index) => b.map(6, { ref: 8 + (index & 1) })).indexOf(-13);
      const first = fill();
      const freed = [b.un(0), b.un(1)];
      const again = repeat(3, (index) => b.map(6, { ref: 8 + (index & 1) }));
      return [first, freed, again, b.machine.accounting(B)?.mappings];
    },
    [255, [0, 0], [0, 0, -13], 255],
    { maxMaptrackFrames: 1 },
  ],
  [
    'M34: exhausted handles among the other checks',
    (b) => {
      b.e(1, B, b.F);
      b.e(1, B, b.F, 9);
      for (let index = 0; index < 255; index++) b.map(6, { ref: 8 + (index & 1) });
      return [b.map(6, { ref: 600 }), b.map(6, { dom: 77 }), b.map(0)];
    },
    [-13, -2, -3],
    { maxMaptrackFrames: 1 },
  ],
  [
    'M35: handles come in order and go to the end',
    (b) => {
      b.e(1, B, b.F);
      b.map(6);
      b.un();
      b.map(6);
      b.map(6);
      return b.maps.map(({ handle }) => handle);
    },
    [0, 1, 2],
  ],
  ['M36: no maptrack at all', (b) => [b.e(1, B, b.F), b.map(6)].slice(1), [-13], { maxMaptrackFrames: 0 }],
  [
    'M37: failures leak no handle',
    (b) => {
      b.e(1, B, b.F);
      b.e(1, B, b.F, 9);
      for (let index = 0; index < 1000; index++) b.map(6, { ref: 600 });
      return repeat(256, (index) => b.map(6, { ref: 8 + (index & 1) })).indexOf(-13);
    },
    255,
    { maxMaptrackFrames: 1 },
  ],
  [
    'M40: a bad element in a batch fails alone',
    (b) => {
      b.e(1, B, b.F);
      return b.mapBatch([8, 4000, 8]);
    },
    [0, [0, -3, 0]],
  ],
  [
    'M41: an HVM caller with available bits: refused late, all undone',
    (b) => [b.e(1, B, b.F), b.map(0x10002), b.pin(), b.flags()].slice(1),
    [-1, 0, 1],
  ],
  [
    'M42: an HVM caller maps over a mapping and is crashed',
    (b) => {
      b.e(1, B, b.F);
      const host = b.hostAddress();
      return [b.map(2, { host }), b.map(6, { host }), b.crashes, b.pin()];
    },
    [0, -1, [B], 1],
  ],
  [
    'M42 PV: the page table forgets the mapping that lay there, whose handle can only go with its domain',
    (b) => {
      b.e(1, B, b.F);
      const host = b.hostAddress();
      const statuses = [b.map(2, { host }), b.map(6, { host }), b.un(1), b.un(0)];
      return [...statuses, b.crashes, b.pin(), b.flags()];
    },
    [0, 0, 0, -1, [], 1, 0x19],
    { kind: 'pv' },
  ],
  [
    'M43: handle and device address are written on success alone',
    (b) => {
      b.e(1, B, b.F);
      b.map(6, { ref: 4000 });
      const failed = b.mapStruct();
      b.map(6);
      return [failed, b.mapStruct()[0], b.mapStruct()[1] === b.machineFrame(A, b.F) * 4096];
    },
    [[0xdead, 0xabcd], 1, true],
  ],
];

const VERSION_2: readonly VectorRow[] = [
  [
    'M19: the last reference of version 2, and one more',
    (b) => [b.e(1, B, b.F, 255), b.map(6, { ref: 255 }), b.map(6, { ref: 256 })].slice(1),
    [0, -3],
  ],
  [
    'M27: a writable map shows in the status',
    (b) => [b.e(1, B, b.F), b.map(2), b.flags(), b.st()].slice(1),
    [0, 1, 0x18],
  ],
  ['M28: a read-only map', (b) => [b.e(1, B, b.F), b.map(6), b.flags(), b.st()].slice(1), [0, 1, 8]],
  [
    'M29: readonly entry, writable map',
    (b) => [b.e(5, B, b.F), b.map(2), b.flags(), b.st()].slice(1),
    [-1, 5, 0],
  ],
  ['M30: sub page never maps', (b) => [b.sub(0x101, B, 0, 4096, b.F), b.map(6), b.st()].slice(1), [-1, 0]],
  ['M31: transitive never maps', (b) => [b.trans(3, B, C, 9), b.map(6), b.st()].slice(1), [-1, 0]],
  ['M32: a frame beyond any machine', (b) => [b.e(1, B, 2 ** 40), b.map(6), b.st()].slice(1), [-9, 0]],
  ['M44: pad bytes are ignored', (b) => [b.sub(1, B, 0xa5a5, 0x5a5a, b.F), b.map(6)].slice(1), [0]],
];

describe('mapping, version 1', () => checkRows(VERSION_1));
describe('mapping, version 2', () => checkRows(VERSION_2, { versions: [2, 1, 1] }));

describe('mapping against a guest that races', () => {
  it('M38: an entry that changes at every attempt is given up after five', () => {
    const b = new GrantBench();
    b.e(1, B, b.F);
    const entry = b.entry();
    const exchange = Atomics.compareExchange.bind(Atomics);
    let attempts = 0;
    const spy = vi.spyOn(Atomics, 'compareExchange').mockImplementation(((
      words: Int32Array,
      index: number,
      ...rest: [number, number]
    ) => {
      if (index === entry) {
        attempts++;
        words[entry] = (words[entry] as number) ^ 0x1000;
      }
      return exchange(words, index, ...rest);
    }) as typeof Atomics.compareExchange);
    const status = b.map(6);
    spy.mockRestore();
    expect([status, attempts, b.flags() & 0x18]).toEqual([-1, 5, 0]);
  });

  it('M39: an entry revoked between the status and the second look', () => {
    const b = new GrantBench({ versions: [2, 1, 1] });
    b.e(1, B, b.F);
    const entry = b.entry();
    const status = b.statusAt();
    const or = Atomics.or.bind(Atomics);
    const spy = vi.spyOn(Atomics, 'or').mockImplementation(((
      array: Uint16Array,
      index: number,
      value: number,
    ) => {
      const before = or(array, index, value);
      if (index === status && array === b.halfwords) b.words[entry] = 0;
      return before;
    }) as typeof Atomics.or);
    const result = b.map(6);
    spy.mockRestore();
    expect([result, b.st(), b.pin()]).toEqual([-1, 0, 0]);
  });
});
