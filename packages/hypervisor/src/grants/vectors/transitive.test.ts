import { describe } from 'vitest';
import { A, B, C, type GrantBench, SELF } from './grant-bench';
import { checkRows, type VectorRow } from './vector-rows';

/** C's entry 9 names A; A's entry 8 leads there for B. */
function chain(b: GrantBench, outer = 3, inner = 1, names = A): GrantBench {
  b.e(inner, names, b.frameOfC, 9, C);
  b.trans(outer, B, C, 9);
  return b;
}

function inUse(b: GrantBench): [number, number] {
  return [b.st(), b.version(C) === 2 ? b.st(9, C) : b.flags(9, C) & 0x18];
}

/** In-use bits of both entries while bytes move, then the result, then the bits. */
function during(b: GrantBench, copy: () => number): unknown[] {
  const outer = b.statusAt();
  const inner = b.version(C) === 2 ? b.statusAt(9, C) : b.entry(9, C) * 2;
  const seen: number[] = [];
  b.during('copy', () => seen.push(b.halfwords[outer] as number, (b.halfwords[inner] as number) & 0x18));
  return [copy(), seen, inUse(b)];
}

const PLAIN = { plain: true } as const;

const ROWS: readonly VectorRow[] = [
  ['T1: through to the page', (b) => [chain(b).from(), inUse(b), b.got(5)], [0, [0, 0], 'CCCCB']],
  [
    'T2: in use meanwhile',
    (b) => [...during(chain(b), () => b.from()), b.got(5)],
    [0, [8, 8], [0, 0], 'CCCCB'],
    PLAIN,
  ],
  [
    'T3: writing',
    (b) => [...during(chain(b), () => b.to()), b.text(C, 0, 0, 5)],
    [0, [0x18, 0x18], [0, 0], 'BBBBC'],
  ],
  ['T4: outer readonly', (b) => [chain(b, 7).to(), inUse(b), b.from()], [-1, [0, 0], 0]],
  ['T5: inner readonly', (b) => [chain(b, 3, 5).to(), inUse(b), b.from()], [-1, [0, 0], 0]],
  ['T6: the inner entry must name the granter', (b) => [chain(b, 3, 1, B).from(), inUse(b)], [-1, [0, 0]]],
  [
    'T7: inner reference out of range',
    (b) => {
      b.trans(3, B, C, 9999);
      return [b.from(), b.st()];
    },
    [-3, 0],
  ],
  [
    'T8: inner page missing',
    (b) => {
      b.e(1, A, 0x7777, 9, C);
      b.trans(3, B, C, 9);
      return [b.from(), inUse(b)];
    },
    [-9, [0, 0]],
  ],
  ['T9: a grant of its own', (b) => [b.trans(3, B, A, 9), b.from(), b.st()].slice(1), [-1, 0]],
  [
    'T10: the caller itself is the owner',
    (b) => {
      b.e(1, A, b.frame(B, 1), 9, B);
      b.fill(B, 1, 0x62);
      b.trans(3, B, B, 9);
      return [b.from(), b.got()];
    },
    [0, 'bbbb'],
  ],
  [
    'T11: no such owner, or DOMID_SELF',
    (b) => {
      b.trans(3, B, 77, 9);
      const unknown = b.from();
      b.trans(3, B, SELF, 9);
      return [unknown, b.from()];
    },
    [-1, -1],
  ],
  [
    'T13: the inner range',
    (b) => {
      b.sub(0x101, A, 100, 50, b.frameOfC, 9, C);
      b.trans(3, B, C, 9);
      return [b.from(100, 50), b.from(0, 1), b.from(100, 51), inUse(b)];
    },
    [0, -1, -1, [0, 0]],
    { versions: [2, 1, 2] },
  ],
  [
    'T14: not on this host',
    (b) => [chain(b).from(), inUse(b)],
    [-1, [0, 0]],
    { machine: { transitiveGrants: false } },
  ],
  ['T15: no map', (b) => [chain(b).map(6), inUse(b)], [-1, [0, 0]]],
  [
    'T16: a mapped grant turned transitive: bounded, refused',
    (b) => {
      b.e(1, B, b.F);
      b.map(6);
      chain(b);
      return [b.from(), inUse(b), b.got(), b.un(), b.from()];
    },
    [-1, [8, 0], 'BBBB', 0, 0],
  ],
  ['T17: nothing keeps version 2 afterwards', (b) => [chain(b).from(), b.setVersion(1)], [0, [0, 1]]],
  [
    'T17 during: a copy in flight keeps it',
    (b) => {
      let result: [number, number] | undefined;
      chain(b).during('copy', () => {
        result = b.setVersion(1);
      });
      return [b.from(), result?.[1]];
    },
    [0, 2],
    PLAIN,
  ],
  [
    'bytes are accounted to the page’s owner',
    (b) => {
      chain(b).from(0, 100);
      return [A, C].map((domid) => b.machine.accounting(domid)?.bytesCopiedFor);
    },
    [0, 100],
  ],
  [
    'on to a grant of a third domain, as forwarding has it',
    (b) => {
      chain(b);
      b.e(1, B, b.frame(A, 1), 10);
      const status = b.copy({ dom: A, ref: 8 }, { dom: A, ref: 10, offset: 1 }, 3);
      const counted = [A, B, C].map((domid) => b.machine.accounting(domid)?.bytesCopiedFor);
      return [status, b.text(A, 1, 0, 5), inUse(b), b.st(10), counted];
    },
    [0, 'GCCCG', [0, 0], 0, [3, 0, 3]],
  ],
  [
    'both ends the same inner grant',
    (b) => {
      chain(b);
      b.trans(3, B, C, 9, 10);
      return [b.copy({ dom: A, ref: 8 }, { dom: A, ref: 10, offset: 8 }, 4), inUse(b), b.st(10)];
    },
    [0, [0, 0], 0],
  ],
  [
    'an inner sub page bounds the bytes',
    (b) => {
      if (b.version(C) !== 2) return [0, -1, -1, [0, 0]];
      b.sub(0x101, A, 100, 50, b.frameOfC, 9, C);
      b.trans(3, B, C, 9);
      return [b.from(100, 50), b.from(99, 50), b.from(101, 50), inUse(b)];
    },
    [0, -1, -1, [0, 0]],
  ],
];

const ONE_LEVEL: readonly VectorRow[] = [
  [
    'T12: one level',
    (b) => {
      b.e(1, C, b.ownFrame, 10, B);
      b.trans(3, A, B, 10, 9, C);
      b.trans(3, B, C, 9);
      return [b.from(), inUse(b)];
    },
    [-1, [0, 0]],
  ],
];

for (const plain of [false, true]) {
  const mode = plain ? 'without the kernel' : 'with the kernel';
  describe(`transitive, inner table of version 1, ${mode}`, () =>
    checkRows(ROWS, { plain, versions: [2, 1, 1] }));
  describe(`transitive, inner table of version 2, ${mode}`, () =>
    checkRows([...ROWS, ...ONE_LEVEL], { plain, versions: [2, 1, 2] }));
}
