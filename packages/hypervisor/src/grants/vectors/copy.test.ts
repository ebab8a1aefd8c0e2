import { describe } from 'vitest';
import { A, B, C, type GrantBench, SELF } from './grant-bench';
import { checkRows, type VectorRow } from './vector-rows';

/** What the entry's flags word shows while bytes are moved. */
function flagsDuring(b: GrantBench, copy: () => number): number[] {
  const entry = b.entry();
  const seen: number[] = [];
  b.during('copy', () => seen.push((b.words[entry] as number) & 0xffff));
  return [copy(), ...seen, b.flags()];
}

function readMapped(b: GrantBench): GrantBench {
  b.e(1, B, b.F);
  b.map(6);
  return b;
}

const PLAIN = { plain: true } as const;
const BEFORE_XSA_523 = { grantTables: { foreignFrameCheck: 'looked-up' } } as const;

/** Elements of one batch between the same domains, one of them without its flag. */
function unflagged(b: GrantBench): unknown[] {
  b.e(1, B, b.F);
  const dest = { frame: b.ownFrame };
  const good = { source: { dom: A, ref: 8 }, dest, length: 4 };
  const bare = { source: { dom: A, frame: b.F }, dest, length: 4 };
  return [b.copyBatch([good, bare, good]), b.copyBatch([bare, good]), b.flags(), b.pin()];
}

/** A reference and, behind it, a frame of the same number. */
function numberedAlike(b: GrantBench): unknown[] {
  b.e(1, B, b.F);
  const dest = { frame: b.ownFrame };
  const good = { source: { dom: A, ref: 8 }, dest, length: 4 };
  const bare = { source: { dom: A, frame: 8 }, dest, length: 4 };
  return [b.copyBatch([good, bare]), b.copyBatch([bare]), b.flags(), b.pin()];
}

const ANY: readonly VectorRow[] = [
  [
    'C1: length 0 looks at nothing',
    (b) => [b.from(0, 0, 8, 77), b.from(5000, 0, 9999), b.from(0, 0)],
    [0, 0, 0],
  ],
  [
    'C1: as Xen 4.17, everything is checked',
    (b) => {
      b.e(1, B, b.F);
      return [b.from(0, 0, 8, 77), b.from(0, 0, 9999), b.from(5000, 0), b.from(0, 0), b.to(0, 0)];
    },
    [-2, -3, -10, 0, 0],
    { machine: { grantTables: { zeroLengthCopy: 'check' } } },
  ],
  ['C2: a foreign frame', (b) => b.copy({ dom: A, frame: b.F }, { frame: b.ownFrame }, 4), -8],
  ['C2 for the destination', (b) => b.copy({ frame: b.ownFrame }, { dom: A, frame: b.F }, 4), -8],
  ['C3: an unknown domain', (b) => b.from(0, 4, 8, 77), -2],
  [
    'C4: domains precede grants',
    (b) => {
      b.e(1, B, b.F);
      return [b.copy({ dom: A, ref: 8 }, { dom: 77, ref: 8 }, 4), b.flags()];
    },
    [-2, 1],
  ],
  [
    'C5: an own frame that is none',
    (b) => [b.e(1, B, b.F), b.copy({ dom: A, ref: 8 }, { frame: 0x7777 }, 4)].slice(1),
    [-9],
  ],
  [
    'C6: both sides local',
    (b) => [b.copy({ frame: b.frame(B, 0) }, { frame: b.frame(B, 1), offset: 9 }, 4), b.text(B, 1, 9, 5)],
    [0, 'BBBB\0'],
  ],
  ['C7: source', (b) => [b.e(1, B, b.F), b.from(), b.got(5), b.flags()].slice(1), [0, 'FFFFB', 1]],
  [
    'C8: destination',
    (b) => [b.e(1, B, b.F), b.to(3), b.text(A, 0, 2, 6), b.flags()].slice(1),
    [0, 'FBBBBF', 1],
  ],
  ['C9: readonly', (b) => [b.e(5, B, b.F), b.to(), b.from(), b.flags()].slice(1), [-1, 0, 5]],
  [
    'C10: beyond the page',
    (b) => {
      b.e(1, B, b.F);
      const beyond = b.copy({ frame: b.ownFrame, offset: 4000 }, { dom: A, ref: 8 }, 97);
      return [b.from(4000, 97), beyond, b.flags(), b.from(0, 4097)];
    },
    [-10, -10, 1, -10],
  ],
  ['C11: bounds come last', (b) => b.from(4000, 97, 9999), -3],
  [
    'C12: the last byte, and the whole page',
    (b) => [b.e(1, B, b.F), b.from(4095, 1), b.from(0, 4096)].slice(1),
    [0, 0],
  ],
  [
    'C23: the entry names another',
    (b) => [b.e(1, B, b.F), b.copy({ dom: A, ref: 8 }, { frame: b.frameOfC }, 4, C)].slice(1),
    [-1],
  ],
  [
    'C24: from grant to grant',
    (b) => {
      b.e(1, B, b.F);
      b.e(1, B, b.frameOfC, 8, C);
      return [b.copy({ dom: A, ref: 8 }, { dom: C, ref: 8, offset: 1 }, 4), b.text(C, 0, 0, 6)];
    },
    [0, 'CFFFFC'],
  ],
  [
    'C25: own entries by DOMID_SELF',
    (b) => {
      b.e(1, B, b.frame(B, 1), 8, B);
      b.e(1, A, b.frame(B, 1), 9, B);
      return [b.from(0, 4, 8, SELF), b.from(0, 4, 9, SELF)];
    },
    [0, -1],
  ],
  [
    'C26: a bad element in a batch fails alone',
    (b) => {
      b.e(1, B, b.F);
      const dest = { frame: b.ownFrame };
      const copies = [8, 9999, 8].map((ref) => ({ source: { dom: A, ref }, dest, length: 4 }));
      return [b.copyBatch(copies), b.flags(), b.pin()];
    },
    [[0, [0, -3, 0]], 1, 0],
  ],
  [
    'a foreign frame is refused as it would be claimed: behind domains, and behind the source',
    (b) => {
      b.e(1, B, b.F);
      const foreign = { dom: A, frame: b.F };
      return [
        b.copy(foreign, { dom: 77, ref: 8 }, 4),
        b.copy({ dom: 77, frame: b.F }, { frame: b.ownFrame }, 4),
        b.copy({ dom: A, ref: 9999 }, foreign, 4),
        b.copy({ frame: 0x7777 }, foreign, 4),
        b.copy({ dom: A, ref: 8 }, foreign, 4),
        b.copy(foreign, { dom: A, ref: 9999 }, 4),
        b.flags(),
        b.pin(),
      ];
    },
    [-2, -2, -3, -9, -8, -8, 1, 0],
  ],
  [
    'before XSA-523, a foreign frame is refused before anything else of the element',
    (b) => {
      const foreign = { dom: A, frame: b.F };
      return [
        b.copy(foreign, { dom: 77, ref: 8 }, 4),
        b.copy({ dom: 77, frame: b.F }, { frame: b.ownFrame }, 4),
        b.copy({ dom: A, ref: 9999 }, foreign, 4),
        b.copy({ frame: 0x7777 }, foreign, 4),
      ];
    },
    [-8, -8, -8, -8],
    { machine: BEFORE_XSA_523 },
  ],
  [
    'an element without its flag behind one of the same domains is refused like any other',
    unflagged,
    [[0, [0, -8, 0]], [0, [-8, 0]], 1, 0],
  ],
  [
    'before XSA-523, an element without its flag behind one of the same domains: bad_page, not permission_denied',
    unflagged,
    [[0, [0, -9, 0]], [0, [-8, 0]], 1, 0],
    { machine: BEFORE_XSA_523 },
  ],
  [
    'an element without its flag whose frame has the number of the reference before it names that frame',
    numberedAlike,
    [[0, [0, -8]], [0, [-8]], 1, 0],
  ],
  [
    'before XSA-523, an element without its flag whose frame has the number of the reference before it: taken for that',
    numberedAlike,
    [[0, [0, 0]], [0, [-8]], 1, 0],
    { machine: BEFORE_XSA_523 },
  ],
  ['C18: from a read-mapped grant', (b) => [readMapped(b).from(), b.flags(), b.got()], [0, 9, 'FFFF']],
  ['C19: to a read-mapped grant', (b) => [readMapped(b).to(), b.flags(), b.text(A, 0, 0, 4)], [0, 9, 'BBBB']],
  [
    'C20: to a read-mapped grant whose frame changed',
    (b) => {
      readMapped(b).setFrame(b.G);
      return [b.to(), b.flags(), b.text(A, 1, 0, 4)];
    },
    [-1, 9, 'GGGG'],
  ],
  [
    'C21: from a read-mapped grant whose frame changed',
    (b) => {
      readMapped(b).setFrame(b.G);
      return [b.from(), b.got()];
    },
    [0, 'FFFF'],
  ],
  [
    'C28: reads by maps and copies share a counter',
    (b) => {
      b.e(1, B, b.F);
      for (let count = 0; count < 128; count++) b.map(6);
      return [b.from(), b.map(2), b.to()];
    },
    [-1, 0, 0],
  ],
  [
    'C29: a dying granter’s grant in use',
    (b) => {
      readMapped(b).machine.destroyDomain(A);
      return b.from();
    },
    -2,
  ],
  [
    'C31: one page on both sides',
    (b) => {
      b.e(1, B, b.F);
      b.e(1, B, b.F, 9);
      b.page(A, 0).bytes.fill(0x78, b.page(A, 0).base, b.page(A, 0).base + 4);
      return [b.copy({ dom: A, ref: 8 }, { dom: A, ref: 9, offset: 100 }, 4), b.text(A, 0, 99, 6)];
    },
    [0, 'FxxxxF'],
  ],
];

const LOOKING_ON: readonly VectorRow[] = [
  ['C7 during', (b) => [b.e(1, B, b.F), ...flagsDuring(b, () => b.from())].slice(1), [0, 9, 1], PLAIN],
  ['C8 during', (b) => [b.e(1, B, b.F), ...flagsDuring(b, () => b.to())].slice(1), [0, 0x19, 1], PLAIN],
  ['C19 during', (b) => [...flagsDuring(readMapped(b), () => b.to())], [0, 0x19, 9]],
  [
    'C27: a grant named twice is looked up once',
    (b) => {
      b.e(1, B, b.F);
      const entry = b.entry();
      b.during('copy', () => {
        b.words[entry + 1] = b.G;
      });
      const copies = [0, 8].map((offset) => ({
        source: { dom: A, ref: 8 },
        dest: { frame: b.ownFrame, offset },
        length: 4,
      }));
      return [b.copyBatch(copies), b.got(12), b.from(), b.got()];
    },
    [[0, [0, 0]], 'FFFFBBBBFFFF', 0, 'GGGG'],
  ],
];

const sub =
  (flags: number, offset: number, length: number) =>
  (b: GrantBench): GrantBench => {
    b.sub(flags, B, offset, length, b.F);
    return b;
  };
const window = sub(0x101, 100, 50);

const VERSION_2: readonly VectorRow[] = [
  ['C13: exactly the range', (b) => [window(b).from(100, 50), b.st(), b.flags()], [0, 0, 0x101]],
  ['C13 as destination', (b) => [window(b).to(100, 50), b.text(A, 0, 99, 2), b.to(99, 1)], [0, 'FB', -1]],
  ['C13 readonly as destination', (b) => sub(0x105, 100, 50)(b).to(100, 50), -1],
  [
    'C14: a byte outside',
    (b) => [window(b).from(99, 1), b.from(149, 2), b.from(150, 1), b.st()],
    [-1, -1, -1, 0],
  ],
  [
    'C15: a range beyond the page is cut by the page',
    (b) => [sub(0x101, 4000, 200)(b).from(4000, 96), b.from(4000, 97)],
    [0, -10],
  ],
  ['C16: an empty range', (b) => sub(0x101, 100, 0)(b).from(100, 1), -1],
  ['C17: fifteen bits of an offset', (b) => sub(0x101, 0x8064, 50)(b).from(100, 50), 0],
  [
    'C22: a page turned into a sub page while read-mapped: the record counts',
    (b) => {
      readMapped(b);
      b.sub(0x101, B, 0, 10, b.F);
      return [b.from(100), b.st()];
    },
    [0, 8],
  ],
  [
    'C32: and an upgrade of a whole-page record compares no ranges',
    (b) => {
      readMapped(b);
      b.sub(0x101, B, 0, 10, b.F);
      return [b.to(100), b.st()];
    },
    [0, 8],
  ],
  [
    'C30: a map while a sub-page copy goes on',
    (b) => {
      window(b);
      let status = 0;
      const argument = b.argument(B);
      const saved = b.words.slice(argument >>> 2, (argument >>> 2) + 20);
      b.during('copy', () => {
        status = b.map(6);
        b.words.set(saved, argument >>> 2);
      });
      return [b.from(100, 50), status, b.st()];
    },
    [0, -1, 0],
    PLAIN,
  ],
  [
    'XSA-500: another range of a sub-page record refuses the upgrade',
    (b) => {
      window(b);
      const entry = b.entry();
      const side = (offset: number) => ({ dom: A, ref: 8, offset });
      const unchanged = b.copy(side(100), side(120), 4);
      b.during('acquirePage', () => {
        b.words[entry + 1] = 90 | (60 << 16);
      });
      return [unchanged, b.copy(side(100), side(120), 4), b.st()];
    },
    [0, -1, 0],
    PLAIN,
  ],
];

const FORWARDING: readonly VectorRow[] = [
  [
    'a header from the own page, the rest from a grant, to one grant of another domain',
    (b) => {
      b.e(1, B, b.F);
      b.e(1, B, b.frameOfC, 9, C);
      const rest = { dom: A, ref: 8, offset: 0 };
      const to = (offset: number) => ({ dom: C, ref: 9, offset });
      const result = b.copyBatch([
        { source: { frame: b.ownFrame }, dest: to(0), length: 2 },
        { source: rest, dest: to(2), length: 3 },
        { source: rest, dest: to(6), length: 1 },
        { source: { ...rest, offset: 4095 }, dest: { dom: C, ref: 9, offset: 4095 }, length: 2 },
        { source: { frame: b.ownFrame }, dest: to(8), length: 1 },
      ]);
      const counted = [A, B, C].map((domid) => b.machine.accounting(domid)?.bytesCopiedFor);
      const copied = b.machine.accounting(B)?.bytesCopiedBy;
      return [result, b.text(C, 0, 0, 10), b.flags(), b.flags(9, C), counted, copied];
    },
    [[0, [0, 0, 0, -10, 0]], 'BBFFFCFCBC', 1, 1, [4, 0, 7], 7],
  ],
  [
    'a read-only destination lets the source go',
    (b) => {
      b.e(1, B, b.F);
      b.e(5, B, b.frameOfC, 9, C);
      return [
        b.copy({ dom: A, ref: 8 }, { dom: C, ref: 9 }, 4),
        b.flags(),
        b.flags(9, C),
        b.pin(),
        b.pin(9, C),
      ];
    },
    [-1, 1, 5, 0, 0],
  ],
];

for (const plain of [false, true]) {
  const mode = plain ? 'without the kernel' : 'with the kernel';
  describe(`copy, version 1, ${mode}`, () => checkRows([...ANY, ...FORWARDING], { plain }));
  describe(`copy, granter on version 2, ${mode}`, () =>
    checkRows(
      // Rows that look at flags of version 1 are not about version 2.
      VERSION_2,
      { plain, versions: [2, 1, 1] },
    ));
}
describe('copy, looked at while bytes move', () => checkRows(LOOKING_ON));
