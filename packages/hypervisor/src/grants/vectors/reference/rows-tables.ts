import {
  errno,
  G1,
  G2,
  G3,
  hex,
  MAP_READ,
  MAP_WRITE,
  R,
  type ReferenceLab,
  type ReferenceRow,
  SELF,
} from './reference-lab';

const CALLER = 0;
const frames = (lab: ReferenceLab, domid: number): number | undefined =>
  lab.bench.querySize(CALLER, domid)[1];
const own = (lab: ReferenceLab, ref: number): readonly [string, number] => {
  const word = lab.bench.words[lab.bench.entry(ref, CALLER)] as number;
  return [lab.flags(CALLER, ref), word >>> 16];
};
/** dom0's reserved entry 2, mapped for writing. */
function reservedMapped(lab: ReferenceLab): number {
  lab.set(CALLER, 1, CALLER, lab.own, 2);
  return lab.map(CALLER, MAP_WRITE, 2);
}
/** The same with dom0's table of version 2. */
function reservedInVersion2(lab: ReferenceLab): void {
  reservedMapped(lab);
  lab.setVersion(2);
}

export const TABLE_ROWS: readonly ReferenceRow[] = [
  [
    'M7',
    (lab) => {
      lab.set(CALLER, 1, CALLER, lab.own, 9);
      return lab.map(CALLER, MAP_READ, 9);
    },
  ],
  [
    'V6',
    (lab) => {
      lab.set(CALLER, 1, CALLER, lab.own, 9);
      lab.map(CALLER, MAP_READ, 9);
      return lab.setVersion(2);
    },
  ],
  [
    'S1',
    (lab) => {
      const before = frames(lab, G1);
      return [lab.bench.setupTable(CALLER, G1, 65), frames(lab, G1) === before];
    },
  ],
  ['S2', (lab) => [lab.bench.setupTable(CALLER, 777, 1), lab.bench.setupTable(CALLER, G1, 1)]],
  ['S3', (lab) => errno(lab.bench.call(CALLER, 2, 2))],
  [
    'S4',
    (lab) => {
      const before = frames(lab, G1);
      return [lab.bench.setupTable(CALLER, G1, 0), frames(lab, G1) === before];
    },
  ],
  ['S6', (lab) => [lab.bench.statusFrames(CALLER, G1, 1), lab.bench.statusFrames(CALLER, G1, 0)]],
  [
    'S6 v2 nr 1, nr 2',
    (lab) => [lab.bench.statusFrames(CALLER, G2, 1), lab.bench.statusFrames(CALLER, G2, 2)],
  ],
  ['H1', (lab) => errno(lab.bench.call(CALLER, 0, 0x8000_0000))],
  ['H2', (lab) => errno(lab.bench.call(CALLER, 13, 1))],
  ['H3', (lab) => errno(lab.bench.call(CALLER, 5 + (1 << 12), 1))],
  ['H4', (lab) => [lab.bench.call(CALLER, 0, 0), lab.bench.call(CALLER, 5, 0)]],
  ['U14 dump_table', (lab) => errno(lab.bench.call(CALLER, 3, 1))],
  ['V18', (lab) => errno(lab.bench.getVersion(CALLER, 777))],
  ['V19', (lab) => lab.bench.getVersion(CALLER, G2)],
  ['V1', (lab) => [lab.bench.getVersion(CALLER, 0), lab.bench.getVersion(CALLER, SELF)]],
  ['V4', (lab) => [lab.setVersion(3), lab.setVersion(0)]],
  ['V7 map reserved', (lab) => [reservedMapped(lab), lab.flags(CALLER, 2)]],
  [
    'W1',
    (lab) => {
      lab.set(CALLER, 1, G2, lab.own, 20);
      lab.set(CALLER, 5, G1, lab.own, 21);
      return [lab.bench.swap(20, 21, CALLER), ...own(lab, 20), ...own(lab, 21)];
    },
  ],
  [
    'W2',
    (lab) => {
      reservedMapped(lab);
      return lab.bench.swap(2, 2, CALLER);
    },
  ],
  [
    'W3',
    (lab) => {
      reservedMapped(lab);
      return [lab.bench.swap(2, 20, CALLER), lab.bench.swap(20, 2, CALLER)];
    },
  ],
  ['W4', (lab) => [lab.bench.swap(512, 8, CALLER), lab.bench.swap(8, 512, CALLER)]],
  [
    'V7',
    (lab) => {
      reservedMapped(lab);
      return [lab.setVersion(2), lab.bench.getVersion(CALLER, 0)];
    },
  ],
  [
    'V7 entry',
    (lab) => {
      reservedInVersion2(lab);
      return [lab.flags(CALLER, 2), lab.status(CALLER, 2), lab.bench.frameField(2, CALLER) === lab.own];
    },
  ],
  [
    'V2/V9 entries >= 8 zero',
    (lab) => {
      for (const ref of [20, 21, 22]) lab.set(CALLER, 1, G2, lab.own, ref);
      lab.setVersion(2);
      return [20, 21, 22].map((ref) => {
        const [flags, domid] = own(lab, ref);
        return [Number(flags), domid];
      });
    },
  ],
  [
    'V9 map',
    (lab) => {
      lab.set(CALLER, 1, 0, lab.own, 9);
      lab.setVersion(2);
      return lab.map(CALLER, MAP_READ, 9);
    },
  ],
  [
    'V3',
    (lab) => {
      reservedInVersion2(lab);
      return [lab.setVersion(2), lab.flags(CALLER, 2)];
    },
  ],
  [
    'W5 pinned',
    (lab) => {
      lab.setVersion(2);
      lab.set(CALLER, 1, 0, lab.own, 22);
      lab.map(CALLER, MAP_WRITE, 22);
      return lab.bench.swap(22, 23, CALLER);
    },
  ],
  [
    'V6 v2->v1',
    (lab) => {
      lab.setVersion(2);
      lab.set(CALLER, 1, 0, lab.own, 22);
      lab.map(CALLER, MAP_WRITE, 22);
      return lab.setVersion(1);
    },
  ],
  [
    'W5',
    (lab) => {
      lab.setVersion(2);
      lab.set(CALLER, 1, G2, lab.own, 22);
      lab.bench.sub(0x105, G1, 7, 9, lab.own, 23, CALLER);
      return [lab.bench.swap(22, 23, CALLER), ...own(lab, 22), ...own(lab, 23)];
    },
  ],
  [
    'M6',
    (lab) => {
      lab.setVersion(2);
      lab.set(CALLER, 1, SELF, lab.own, 24);
      return lab.map(CALLER, MAP_READ, 24);
    },
  ],
  [
    'V10',
    (lab) => {
      lab.setVersion(2);
      lab.set(CALLER, 1, 0, 2 ** 32, 3);
      return lab.setVersion(1);
    },
  ],
  [
    'V11',
    (lab) => {
      lab.setVersion(2);
      lab.bench.trans(3, 0, G2, 5, 3, CALLER);
      return lab.setVersion(1);
    },
  ],
  [
    'V8/V12/V13/V14',
    (lab) => {
      backToVersion1(lab);
      const flags = [2, 3, 4].map((ref) => lab.flags(CALLER, ref));
      return [[0, lab.bench.version(CALLER)], ...flags, lab.bench.getVersion(CALLER, 0)];
    },
  ],
  [
    'V8 unmap',
    (lab) => {
      backToVersion1(lab);
      return [lab.unmap(), lab.flags(CALLER, 2)];
    },
  ],
  [
    'D2 still readable',
    (lab) => {
      // The guest's own view ends with it; the page does not.
      const { bytes, base } = lab.bench.page(G3, 0);
      dying(lab);
      return String.fromCharCode(...bytes.subarray(base, base + 4));
    },
  ],
  [
    'C29',
    (lab) => {
      dying(lab);
      return lab.copy(lab.grant(G3), lab.sink(), 4);
    },
  ],
  [
    'map of a dying granter',
    (lab) => {
      dying(lab);
      return lab.map(G3, 1);
    },
  ],
  [
    'D3',
    (lab) => {
      dying(lab);
      lab.unmap();
      const gone = [lab.map(G3, MAP_READ), lab.copy(lab.grant(G3), lab.sink(), 4)];
      return [...gone, errno(lab.bench.getVersion(CALLER, G3)), lab.bench.querySize(CALLER, G3)[0]];
    },
  ],
];

/** Version 2 with reserved entries of all kinds, then version 1 again, entry 2 mapped all the time. */
function backToVersion1(lab: ReferenceLab): void {
  reservedInVersion2(lab);
  lab.set(CALLER, 2, 0, lab.own, 3);
  lab.bench.sub(0x101, 0, 1, 2, lab.own, 4, CALLER);
  lab.bench.trans(3, 0, G2, 5, 25, CALLER);
  const [result] = lab.setVersion(1);
  if (result !== 0) throw new Error(`version 1 is answered ${hex(Number(result))}`);
}

/** Guest 3 is destroyed while dom0 maps its page. */
function dying(lab: ReferenceLab): void {
  lab.set(G3, 1, CALLER, lab.F3, R);
  lab.map(G3, MAP_WRITE);
  lab.bench.machine.destroyDomain(G3);
}
