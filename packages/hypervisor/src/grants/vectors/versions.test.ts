import { describe } from 'vitest';
import { A, B, C, type GrantBench, SELF } from './grant-bench';
import { checkRows, type VectorRow } from './vector-rows';

const EINVAL = -22;
const EBUSY = -16;
const DOM0 = 0;

/** Entry 1 write-mapped by dom0, as the xenstore page is. */
function reservedInUse(b: GrantBench): GrantBench {
  b.e(1, DOM0, b.F, 1);
  b.map(2, { ref: 1, caller: DOM0 });
  return b;
}

const VERSIONS: readonly VectorRow[] = [
  [
    'V1: a new domain',
    (b) => [b.getVersion(A, SELF), b.querySize(A, SELF), b.querySize(A, A)],
    [1, [0, 1, 64], [0, 1, 64]],
  ],
  [
    'V2: version 2 from a fresh table',
    (b) => [b.setVersion(2), b.machine.grantEntries(A)?.statusFrames, b.flags(), b.flags(255)],
    [[0, 2], 1, 0, 0],
  ],
  [
    'V3: the version it has already: nothing is cleared',
    (b) => {
      b.setVersion(2);
      b.e(1, B, b.F);
      return [b.setVersion(2), b.flags()];
    },
    [[0, 2], 1],
  ],
  [
    'V4: no such version',
    (b) => [b.setVersion(3), b.setVersion(0)],
    [
      [EINVAL, 1],
      [EINVAL, 1],
    ],
  ],
  ['V5: version 2 not offered', (b) => b.setVersion(2), [-38, 1], { maxGrantVersion: 1 }],
  ['V6: an entry in use', (b) => [b.e(1, B, b.F), b.map(6), b.setVersion(2)].slice(1), [0, [EBUSY, 1]]],
  [
    'V7: a reserved entry in use goes along to version 2',
    (b) => {
      reservedInUse(b);
      const answer = b.setVersion(2);
      const after = [b.flags(1), b.st(1), b.frameField(1) === b.F];
      return [answer, ...after, b.un(0, DOM0), b.st(1), b.flags(1)];
    },
    [[0, 2], 1, 0x18, true, 0, 0, 1],
  ],
  [
    'V8: and back',
    (b) => {
      reservedInUse(b).setVersion(2);
      return [b.setVersion(1), b.flags(1), b.un(0, DOM0), b.flags(1)];
    },
    [[0, 1], 0x19, 0, 1],
  ],
  [
    'V9: other entries are lost',
    (b) => [b.e(1, B, b.F), b.setVersion(2), b.flags(), b.map(6)].slice(1),
    [[0, 2], 0, -1],
  ],
  [
    'V16: fewer references in version 2',
    (b) => [b.e(1, B, b.F, 300), b.setVersion(2), b.map(6, { ref: 300 })].slice(1),
    [[0, 2], -3],
  ],
  [
    'V17: a version change while a map is on its way',
    (b) => {
      b.e(1, B, b.F);
      let answer: [number, number] | undefined;
      b.during('mapHostAddress', () => {
        answer = b.setVersion(2);
      });
      return [b.map(6), answer];
    },
    [0, [EBUSY, 1]],
  ],
  ['V18: get_version of others', (b) => [b.getVersion(B, 77), b.getVersion(B, A)], [-3, -1]],
  ['V19: by dom0', (b) => [b.setVersion(2), b.getVersion(DOM0, A)], [[0, 2], 2]],
];

const FROM_2: readonly VectorRow[] = [
  ['V6 from version 2', (b) => [b.e(1, B, b.F), b.map(6), b.setVersion(1)].slice(1), [0, [EBUSY, 2]]],
  [
    'V10: a reserved frame beyond version 1',
    (b) => [b.e(1, B, 2 ** 32, 3), b.setVersion(1)].slice(1),
    [[-34, 2]],
  ],
  ['V11: a reserved transitive entry', (b) => [b.trans(3, B, C, 9, 3), b.setVersion(1)].slice(1), [[-34, 2]]],
  ['V12: another transitive entry', (b) => [b.trans(3, B, C, 9, 20), b.setVersion(1)].slice(1), [[0, 1]]],
  [
    'V13: a reserved accept_transfer entry',
    (b) => [b.e(2, B, b.F, 3), b.setVersion(1), b.flags(3), b.frameField(3)].slice(1),
    [[0, 1], 0, 0],
  ],
  [
    'V14: a reserved sub-page entry',
    (b) => {
      b.sub(0x101, B, 5, 6, b.F, 3);
      return [b.setVersion(1), b.flags(3), b.frameField(3) === b.F];
    },
    [[0, 1], 0x101, true],
  ],
  [
    'V15: a copy through a reserved sub-page entry in flight',
    (b) => {
      b.sub(0x101, B, 0, 64, b.F, 3);
      let answer: [number, number] | undefined;
      b.during('copy', () => {
        answer = b.setVersion(1);
      });
      return [b.from(0, 4, 3), answer, b.setVersion(1)];
    },
    [0, [-11, 2], [0, 1]],
    { plain: true },
  ],
];

const SIZES: readonly VectorRow[] = [
  ['S1: more than the maximum', (b) => [b.setupTable(A, SELF, 65), b.querySize(A, SELF)], [-1, [0, 1, 64]]],
  [
    'S2: whose table',
    (b) => [b.setupTable(A, 77, 1), b.setupTable(B, A, 1), b.setupTable(DOM0, A, 1)],
    [-2, -8, 0],
  ],
  [
    'S3: one at a time',
    (b) => [b.call(A, 2, 2), b.call(A, 6, 0), b.call(A, 9, 2)],
    [EINVAL, EINVAL, EINVAL],
    { kind: 'pv' },
  ],
  [
    'S4: nothing shrinks',
    (b) => {
      b.setupTable(A, SELF, 4);
      return [b.setupTable(A, SELF, 0), b.setupTable(A, SELF, 1), b.querySize(A, SELF)];
    },
    [0, 0, [0, 4, 64]],
  ],
  [
    'S4: frames are listed, and entries keep their place',
    (b) => {
      b.e(1, B, b.F);
      const before = b.entry();
      b.setupTable(A, SELF, 3);
      return [b.listed(A, 3).every((frame) => frame > 0), b.entry() === before, b.flags(), b.map(6)];
    },
    [true, true, 1, 0],
  ],
  [
    'a list that is not the caller’s memory',
    (b) => [b.setupTable(A, SELF, 1, b.argument(B)), b.setupTable(A, SELF, 1, 0x7fff_0000)],
    [-5, -14],
  ],
  [
    'S7 and S8: one frame at a time, up to the maximum',
    (b) => {
      const { grants } = b.machine.hypervisor;
      const first = grants.tableFrame(A, 3, false) > 0;
      const size = b.querySize(A, SELF);
      return [first, size, grants.tableFrame(A, 64, false), grants.tableFrame(A, 0, true)];
    },
    [true, [0, 4, 64], EINVAL, EINVAL],
  ],
];

const SIZES_2: readonly VectorRow[] = [
  [
    'S5: a second status frame with the ninth frame',
    (b) => {
      b.e(1, B, b.F);
      b.map(6);
      const counts = [8, 9].map((frames) => {
        b.setupTable(A, SELF, frames);
        return b.machine.grantEntries(A)?.statusFrames;
      });
      return [counts, b.st()];
    },
    [[1, 2], 8],
  ],
  [
    'S9: a status frame grows the table',
    (b) => {
      const found = b.machine.hypervisor.grants.tableFrame(A, 1, true) > 0;
      const { frames, statusFrames } = b.machine.grantEntries(A) ?? {};
      return [found, frames, statusFrames];
    },
    [true, 16, 2],
  ],
  [
    'a table at its maximum answers general_error and serves on',
    (b) => [b.setupTable(A, SELF, 3), b.setupTable(A, SELF, 2), b.e(1, B, b.F, 511), b.map(6, { ref: 511 })],
    [-1, 0, undefined, 0],
    { maxGrantFrames: 2 },
  ],
];

const STATUS_FRAMES: readonly VectorRow[] = [
  ['S6: version 1', (b) => [b.statusFrames(A, SELF, 1), b.statusFrames(A, SELF, 0)], [-1, 0]],
  [
    'S6: version 2, not more than there are',
    (b) => {
      b.setVersion(2);
      b.setupTable(A, SELF, 8);
      const { grants } = b.machine.hypervisor;
      const one = b.statusFrames(A, SELF, 1);
      return [one, b.listed(A, 1)[0] === grants.tableFrame(A, 0, true), b.statusFrames(A, SELF, 2)];
    },
    [0, true, -1],
  ],
  [
    'S6: whose table',
    (b) => [b.statusFrames(A, 77, 0), b.statusFrames(B, A, 0), b.statusFrames(DOM0, A, 0)],
    [-2, -8, 0],
  ],
];

const SWAP: readonly VectorRow[] = [
  [
    'W1',
    (b) => {
      b.e(5, B, b.F, 8);
      b.e(1, C, b.G, 9);
      return [b.swap(8, 9), b.flags(8), b.frameField(8) === b.G, b.flags(9), b.frameField(9) === b.F];
    },
    [0, 1, true, 5, true],
  ],
  ['W2: with itself, in use or not', (b) => [b.e(1, B, b.F), b.map(6), b.swap(8, 8)].slice(1), [0, 0]],
  ['W3: in use', (b) => [b.e(1, B, b.F), b.map(6), b.swap(8, 9), b.swap(9, 8)].slice(1), [0, -12, -12]],
  ['W4: out of range', (b) => [b.swap(600, 8), b.swap(8, 600)], [-3, -3]],
];

const SWAP_2: readonly VectorRow[] = [
  [
    'W5: reserved, sub-page and transitive entries with their status',
    (b) => {
      b.sub(0x105, B, 100, 50, b.F, 2);
      b.trans(3, C, C, 77, 9);
      b.halfwords[b.statusAt(2)] = 0x10;
      const answer = b.swap(2, 9);
      const range = b.words[b.entry(9) + 1];
      return [
        answer,
        b.flags(9),
        range === (100 | (50 << 16)),
        b.st(9),
        b.flags(2),
        b.frameField(2),
        b.st(2),
      ];
    },
    [0, 0x105, true, 0x10, 3, 77, 0],
  ],
];

describe('versions', () => checkRows(VERSIONS));
describe('versions, from 2', () => checkRows(FROM_2, { versions: [2, 1, 1] }));
describe('sizes', () => checkRows(SIZES));
describe('sizes, version 2', () => checkRows(SIZES_2, { versions: [2, 1, 1] }));
describe('status frames of a PV guest', () => checkRows(STATUS_FRAMES, { kind: 'pv' }));
describe('swap', () => checkRows(SWAP));
describe('swap, version 2', () => checkRows(SWAP_2, { versions: [2, 1, 1] }));
