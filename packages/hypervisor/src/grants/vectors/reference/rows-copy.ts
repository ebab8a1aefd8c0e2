import {
  BAD_FRAME,
  BEYOND,
  G1,
  G2,
  G3,
  INNER,
  MAP_READ,
  R,
  type ReferenceLab,
  type ReferenceRow,
  SELF,
  SINK,
} from './reference-lab';

/** Guest 1's entry, copied into the sink. */
const out = (lab: ReferenceLab, length?: number, offset = 0): number =>
  lab.copy(lab.grant(G1, offset), lab.sink(), length);
const bothFlags = (lab: ReferenceLab): readonly string[] => [lab.flags(G1), lab.flags(G1, SINK)];

/** The entries of both guests during a chain: guest 2's, and the inner one of a guest with either version. */
function chain(version: 'v1' | 'v2'): readonly ReferenceRow[] {
  const owner = version === 'v2' ? G3 : G1;
  const inner = (lab: ReferenceLab, flags: number, grantee: number = G2, frame?: number): void =>
    lab.set(owner, flags, grantee, frame, INNER);
  const states = (lab: ReferenceLab): readonly string[] => [
    lab.status(G2),
    version === 'v2' ? lab.status(owner, INNER) : lab.flags(owner, INNER),
  ];
  const read = (lab: ReferenceLab, length = 4, offset = 0): number =>
    lab.copy(lab.grant(G2, offset), lab.sink(), length);
  const write = (lab: ReferenceLab): number => lab.copy(lab.sink(100), lab.grant(G2), 4);
  return [
    [
      `T1 inner ${version}`,
      (lab) => {
        inner(lab, 1);
        lab.through(3, owner);
        return [read(lab), lab.text(G1, 1, 0, 5), states(lab)];
      },
    ],
    [
      `T3 inner ${version}`,
      (lab) => {
        inner(lab, 1);
        lab.through(3, owner);
        return [write(lab), lab.text(owner, 0, 0, 5), states(lab)];
      },
    ],
    [
      `T4 inner ${version}`,
      (lab) => {
        inner(lab, 1);
        lab.through(7, owner);
        return [write(lab), states(lab)];
      },
    ],
    [
      `T4 read inner ${version}`,
      (lab) => {
        inner(lab, 1);
        lab.through(7, owner);
        return read(lab);
      },
    ],
    [
      `T5 inner ${version}`,
      (lab) => {
        inner(lab, 5);
        lab.through(3, owner);
        return [write(lab), lab.status(G2)];
      },
    ],
    [
      `T6 inner ${version}`,
      (lab) => {
        inner(lab, 1, 0);
        lab.through(3, owner);
        return read(lab);
      },
    ],
    [
      `T7 inner ${version}`,
      (lab) => {
        lab.through(3, owner, BEYOND);
        return [read(lab), lab.status(G2)];
      },
    ],
    [
      `T8 inner ${version}`,
      (lab) => {
        inner(lab, 1, G2, BAD_FRAME);
        lab.through(3, owner);
        return [read(lab), lab.status(G2)];
      },
    ],
    [
      `transitive read from an offset, inner ${version}`,
      (lab) => {
        inner(lab, 1);
        lab.through(3, owner);
        return [read(lab, 97, 4000), read(lab, 96, 4000)];
      },
    ],
  ];
}

export const COPY_ROWS: readonly ReferenceRow[] = [
  [
    'C1 4.17 (newer trees: 0, 0, 0)',
    (lab) => {
      lab.set(G1, 1);
      return [
        lab.copy(lab.grant(777, 0, BEYOND), lab.grant(778, 0, BEYOND), 0),
        lab.copy(lab.grant(G1, 0, BEYOND), lab.sink(), 0),
        out(lab, 0, 4097),
      ];
    },
  ],
  [
    'C1 good refs',
    (lab) => {
      lab.set(G1, 1);
      return [out(lab, 0), out(lab, 0, 4096)];
    },
  ],
  ['C2', (lab) => lab.copy({ dom: G1, frame: lab.F }, lab.sink())],
  ['C3', (lab) => lab.copy(lab.grant(777, 0, 1), lab.sink())],
  [
    'C4',
    (lab) => {
      lab.set(G1, 1);
      return [lab.copy(lab.grant(G1), lab.grant(777, 0, 1)), lab.flags(G1)];
    },
  ],
  ['C5', (lab) => lab.copy({ frame: BAD_FRAME }, lab.sink())],
  [
    'C7',
    (lab) => {
      lab.set(G1, 1);
      return [out(lab, 4), ...bothFlags(lab), lab.text(G1, 1, 0, 6)];
    },
  ],
  [
    'C9',
    (lab) => {
      lab.set(G1, 1);
      lab.set(G1, 5, 0, lab.G, SINK);
      return [out(lab), lab.flags(G1, SINK)];
    },
  ],
  [
    'C9b',
    (lab) => {
      lab.set(G1, 5);
      return out(lab);
    },
  ],
  [
    'C10',
    (lab) => {
      lab.set(G1, 1);
      return [out(lab, 97, 4000), ...bothFlags(lab)];
    },
  ],
  [
    'C10 dest',
    (lab) => {
      lab.set(G1, 1);
      return lab.copy(lab.grant(G1), lab.sink(4000), 97);
    },
  ],
  ['C11', (lab) => lab.copy(lab.grant(G1, 4000, BEYOND), lab.sink(), 97)],
  [
    'C12',
    (lab) => {
      lab.set(G1, 1);
      return [out(lab, 1, 4095), out(lab, 4096)];
    },
  ],
  [
    'C len 4097',
    (lab) => {
      lab.set(G1, 1);
      return out(lab, 4097);
    },
  ],
  [
    'M12',
    (lab) => {
      lab.set(G1, 0x101);
      return [out(lab, 4096), lab.flags(G1)];
    },
  ],
  [
    'M10 copy',
    (lab) => {
      lab.set(G1, 3);
      return out(lab);
    },
  ],
  [
    'C13',
    (lab) => {
      lab.subPage(0x101, 100, 50);
      const status = lab.copy(lab.grant(G2, 100), lab.sink(), 50);
      return [status, lab.status(G2), lab.flags(G2), lab.text(G1, 1, 0, 51)];
    },
  ],
  [
    'C14',
    (lab) => {
      lab.subPage(0x101, 100, 50);
      const copies = [
        [99, 1],
        [149, 2],
        [150, 1],
      ] as const;
      return [
        ...copies.map(([from, length]) => lab.copy(lab.grant(G2, from), lab.sink(), length)),
        lab.status(G2),
      ];
    },
  ],
  [
    'C15',
    (lab) => {
      lab.subPage(0x101, 4000, 200);
      return [96, 97].map((length) => lab.copy(lab.grant(G2, 4000), lab.sink(), length));
    },
  ],
  [
    'C16',
    (lab) => {
      lab.subPage(0x101, 100, 0);
      return lab.copy(lab.grant(G2, 100), lab.sink(), 1);
    },
  ],
  [
    'C17',
    (lab) => {
      lab.subPage(0x101, 0x8064, 50);
      return lab.copy(lab.grant(G2, 100), lab.sink(), 50);
    },
  ],
  [
    'C13 as dest',
    (lab) => {
      lab.subPage(0x101, 100, 50);
      return [100, 99].map((to) => lab.copy(lab.sink(), lab.grant(G2, to), 50));
    },
  ],
  [
    'C13 ro as dest',
    (lab) => {
      lab.subPage(0x105, 100, 50);
      return lab.copy(lab.sink(), lab.grant(G2, 100), 50);
    },
  ],
  [
    'C18',
    (lab) => {
      lab.set(G1, 1);
      lab.map(G1, MAP_READ);
      return [out(lab), lab.flags(G1)];
    },
  ],
  [
    'C19',
    (lab) => {
      lab.set(G1, 1);
      lab.map(G1, MAP_READ);
      return [lab.copy(lab.sink(), lab.grant(G1)), lab.flags(G1)];
    },
  ],
  [
    'C21',
    (lab) => {
      lab.set(G1, 1);
      lab.map(G1, MAP_READ);
      lab.bench.setFrame(lab.G, R, G1);
      return [lab.copy(lab.grant(G1), lab.sink(200), 4), lab.text(G1, 1, 200, 5)];
    },
  ],
  [
    'C20',
    (lab) => {
      lab.set(G1, 1);
      lab.map(G1, MAP_READ);
      lab.bench.setFrame(lab.G, R, G1);
      return [lab.copy(lab.sink(), lab.grant(G1)), lab.flags(G1)];
    },
  ],
  [
    'C22',
    (lab) => {
      becomesSubPage(lab);
      return [lab.copy(lab.grant(G2, 100), lab.sink(), 8), lab.status(G2)];
    },
  ],
  [
    'C32',
    (lab) => {
      becomesSubPage(lab);
      return [lab.copy(lab.sink(), lab.grant(G2, 100), 8), lab.status(G2)];
    },
  ],
  [
    'C23',
    (lab) => {
      lab.set(G1, 1, G2);
      return out(lab);
    },
  ],
  [
    'C24',
    (lab) => {
      lab.set(G1, 1);
      lab.set(G2, 1);
      return [lab.copy(lab.grant(G1), lab.grant(G2), 4), lab.text(G2, 0, 0, 5)];
    },
  ],
  [
    'C26',
    (lab) => {
      lab.set(G1, 1);
      const dest = lab.sink();
      const batch = lab.bench.copyBatch(
        [lab.grant(G1), lab.grant(G1, 0, BEYOND), lab.grant(G1)].map((source) => ({
          source,
          dest,
          length: 8,
        })),
        0,
      );
      return [...batch, ...bothFlags(lab)];
    },
  ],
  [
    'C31',
    (lab) => {
      lab.set(G1, 1);
      lab.set(G1, 1, 0, lab.F, 102);
      return lab.copy(lab.grant(G1), lab.grant(G1, 2048, 102), 100);
    },
  ],
  ...chain('v2'),
  ...chain('v1'),
  [
    'T9',
    (lab) => {
      lab.set(G2, 1, G2, lab.F2, 111);
      lab.through(3, G2, 111);
      return lab.copy(lab.grant(G2), lab.sink(), 4);
    },
  ],
  [
    'T11',
    (lab) => {
      lab.through(3, 777);
      return lab.copy(lab.grant(G2), lab.sink(), 4);
    },
  ],
  [
    'T11 self',
    (lab) => {
      lab.through(3, SELF);
      return lab.copy(lab.grant(G2), lab.sink(), 4);
    },
  ],
  [
    'T12',
    (lab) => {
      lab.bench.trans(3, G2, G1, INNER, INNER, G3);
      lab.set(G1, 1, G3, lab.F, INNER);
      lab.through(3, G3);
      return [lab.copy(lab.grant(G2), lab.sink(), 4), lab.status(G2), lab.status(G3, INNER)];
    },
  ],
  [
    'T13',
    (lab) => {
      lab.bench.sub(0x101, G2, 100, 50, lab.F3, INNER, G3);
      lab.through(3, G3);
      const copies = [
        [100, 50],
        [0, 1],
        [100, 51],
      ] as const;
      return copies.map(([from, length]) => lab.copy(lab.grant(G2, from), lab.sink(), length));
    },
  ],
  [
    'transitive + sub_page bit',
    (lab) => {
      lab.bench.sub(0x101, G2, 100, 50, lab.F3, INNER, G3);
      lab.through(0x103, G3);
      return lab.copy(lab.grant(G2, 100), lab.sink(), 50);
    },
  ],
  [
    'T15',
    (lab) => {
      lab.through(3, G3);
      return lab.map(G2, MAP_READ);
    },
  ],
  [
    'T10',
    (lab) => {
      lab.set(0, 1, G2, lab.own, 9);
      lab.through(3, 0, 9);
      return [lab.copy(lab.grant(G2), lab.sink(), 4), lab.text(G1, 1, 0, 5)];
    },
  ],
  [
    'C25 self',
    (lab) => {
      lab.set(0, 1, 0, lab.own, 9);
      return lab.copy(lab.grant(SELF, 0, 9), lab.sink(), 4);
    },
  ],
  [
    'C25 other',
    (lab) => {
      lab.set(0, 1, G2, lab.own, 9);
      return lab.copy(lab.grant(SELF, 0, 9), lab.sink(), 4);
    },
  ],
];

/** Guest 2's whole page, mapped for reading, becomes a sub page of ten bytes. */
function becomesSubPage(lab: ReferenceLab): void {
  lab.set(G2, 1);
  lab.map(G2, MAP_READ);
  lab.bench.sub(0x101, 0, 0, 10, lab.F2, R, G2);
}
