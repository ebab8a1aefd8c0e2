import {
  BAD_FRAME,
  BEYOND,
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

const one =
  (flags: number, grantee: number, map: number, frame?: number) =>
  (lab: ReferenceLab): unknown => {
    lab.set(G1, flags, grantee, frame);
    return [lab.map(G1, map), lab.flags(G1)];
  };
const oneV2 =
  (flags: number, grantee: number, map: number, frame?: number) =>
  (lab: ReferenceLab): unknown => {
    lab.set(G2, flags, grantee, frame);
    return [lab.map(G2, map), lab.flags(G2), lab.status(G2)];
  };
/** Maps guest 1's entry with these flags, one after the other. */
function mapped(lab: ReferenceLab, ...maps: readonly number[]): readonly number[] {
  lab.set(G1, 1);
  return maps.map((flags) => lab.map(G1, flags));
}
function mappedV2(lab: ReferenceLab, ...maps: readonly number[]): readonly number[] {
  lab.set(G2, 1);
  return maps.map((flags) => lab.map(G2, flags));
}
const setReadonly = (lab: ReferenceLab): void => lab.bench.orFlags(4, R, G1);
/** Host part, device part, handle of a mapping made. */
const parts = (lab: ReferenceLab, index = 0): readonly [number, number, number] => {
  const { host, device, handle } = lab.bench.mapping(index);
  return [host, device, handle];
};
/** An address where nothing is mapped. */
const elsewhere = (lab: ReferenceLab): number => lab.bench.hostAddress(0, 5);

export const MAPPING_ROWS: readonly ReferenceRow[] = [
  [
    'M1',
    (lab) => {
      const [status] = mapped(lab, MAP_WRITE);
      return [status, lab.flags(G1), lab.bench.mapping().device === lab.F * 4096];
    },
  ],
  ['U1', (lab) => [mapped(lab, MAP_WRITE) && lab.unmap(), lab.flags(G1)]],
  ['M2', one(1, 0, MAP_READ)],
  ['M3', one(5, 0, MAP_WRITE)],
  ['M4', one(5, 0, MAP_READ)],
  ['M5', one(1, G2, MAP_WRITE)],
  ['M8', one(0, 0, MAP_READ)],
  ['M9', one(2, 0, MAP_READ)],
  ['M10', one(3, 0, MAP_READ)],
  ['M11', one(0x101, 0, MAP_READ)],
  ['M13', one(0xfe01, 0, MAP_READ)],
  [
    'M14',
    (lab) => {
      lab.set(G1, 1);
      return [lab.map(G1, 4), lab.map(G1, 0), lab.map(777, 4)];
    },
  ],
  ['M16', (lab) => lab.map(SELF, MAP_READ)],
  ['M17', (lab) => lab.map(777, MAP_READ, BEYOND)],
  [
    'M18',
    (lab) => {
      lab.set(G1, 1, 0, lab.F, 511);
      return [lab.map(G1, MAP_READ, 511), lab.map(G1, MAP_READ, 512)];
    },
  ],
  [
    'M20',
    (lab) => {
      lab.set(G1, 1);
      const answers = [lab.map(G1, MAP_READ), lab.flags(G1), lab.map(G1, MAP_WRITE), lab.flags(G1)];
      return [...answers, lab.bench.mapping(0).handle !== lab.bench.mapping(1).handle];
    },
  ],
  ['U2', (lab) => [mapped(lab, MAP_READ, MAP_WRITE) && lab.unmap(1), lab.flags(G1)]],
  ['U3', (lab) => [mapped(lab, MAP_READ, MAP_WRITE) && lab.unmap(0), lab.flags(G1)]],
  [
    'M21',
    (lab) => {
      mapped(lab, MAP_READ);
      setReadonly(lab);
      return [lab.map(G1, MAP_WRITE), lab.flags(G1)];
    },
  ],
  [
    'M22',
    (lab) => {
      mapped(lab, MAP_WRITE);
      setReadonly(lab);
      return [lab.map(G1, MAP_WRITE), lab.flags(G1)];
    },
  ],
  [
    'M23b',
    (lab) => {
      mapped(lab, MAP_READ);
      lab.bench.setDom(G2, R, G1);
      return [lab.map(G1, MAP_READ)];
    },
  ],
  [
    'M24',
    (lab) => {
      mapped(lab, MAP_READ);
      lab.bench.setFrame(lab.G, R, G1);
      return [lab.map(G1, MAP_READ), lab.bench.mapping(1).device === lab.F * 4096];
    },
  ],
  [
    'M25',
    (lab) => {
      const many = mapped(lab, ...Array<number>(128).fill(MAP_READ));
      return [many.every((status) => status === 0), lab.map(G1, MAP_READ), lab.map(G1, MAP_WRITE)];
    },
  ],
  [
    'C28',
    (lab) => {
      mapped(lab, ...Array<number>(128).fill(MAP_READ));
      return lab.copy(lab.grant(G1), lab.sink());
    },
  ],
  [
    'M25 after',
    (lab) => {
      const many = mapped(lab, ...Array<number>(128).fill(MAP_READ));
      for (const index of many.keys()) lab.unmap(index);
      return lab.flags(G1);
    },
  ],
  ['M26', one(1, 0, MAP_READ, BAD_FRAME)],
  [
    'M40',
    (lab) => {
      lab.set(G1, 1);
      return lab.bench.mapBatch([R, BEYOND, R], { caller: 0, dom: G1 });
    },
  ],
  [
    'M43 failed map leaves handle,dev',
    (lab) => {
      lab.map(G1, MAP_READ, BEYOND);
      return untouched(lab);
    },
  ],
  [
    'M43 refused map leaves handle,dev',
    (lab) => {
      lab.set(G1, 5);
      lab.map(G1, MAP_WRITE);
      return untouched(lab);
    },
  ],
  ['M15 PV map(0x3)', one(1, 0, 3)],
  ['M15 PV map(0xA)', one(1, 0, 0xa)],
  [
    'host address without L1 entry',
    (lab) => {
      lab.set(G1, 1);
      return [lab.bench.map(MAP_READ, { dom: G1, ref: R, caller: 0, host: 0x1000 }), lab.flags(G1)];
    },
  ],
  ['U4', (lab) => [mapped(lab, MAP_READ, MAP_READ) && lab.unmap(), lab.flags(G1)]],
  [
    'U5',
    (lab) => {
      mapped(lab, MAP_READ);
      lab.unmap();
      return [lab.bench.unmap(0, 0, 0xffff0000, 0), lab.bench.unmap(0, 0, lab.bench.mapping().handle, 0)];
    },
  ],
  [
    'U5 with a host address',
    (lab) => {
      mapped(lab, MAP_READ);
      lab.unmap();
      return [lab.bench.unmap(elsewhere(lab), 0, lab.bench.mapping().handle, 0)];
    },
  ],
  [
    'U6',
    (lab) => {
      mapped(lab, MAP_READ);
      const [host, , handle] = parts(lab);
      return lab.bench.unmapBatch(
        [
          [host, 0, handle],
          [host, 0, handle],
        ],
        0,
      );
    },
  ],
  [
    'U6 second call',
    (lab) => {
      mapped(lab, MAP_READ);
      lab.unmap();
      return [lab.unmap()];
    },
  ],
  [
    'U7',
    (lab) => {
      mapped(lab, MAP_READ);
      return [lab.bench.unmap(0, 0, parts(lab)[2], 0), lab.flags(G1)];
    },
  ],
  [
    'U8',
    (lab) => {
      mapped(lab, MAP_READ);
      return [lab.bench.unmap(elsewhere(lab), 0, parts(lab)[2], 0), lab.flags(G1)];
    },
  ],
  [
    'U9',
    (lab) => {
      mapped(lab, MAP_READ);
      const [host, , handle] = parts(lab);
      return [lab.bench.unmap(host, 0x1_2345_6000, handle, 0), lab.flags(G1)];
    },
  ],
  [
    'U10',
    (lab) => {
      mapped(lab, 3);
      return [lab.unmap(), lab.flags(G1)];
    },
  ],
  [
    'U11',
    (lab) => {
      mapped(lab, 3);
      lab.unmap();
      const [, device, handle] = parts(lab);
      return [lab.bench.unmap(0, device, handle, 0), lab.flags(G1)];
    },
  ],
  [
    'U12',
    (lab) => {
      mapped(lab, 3);
      const [host, device, handle] = parts(lab);
      return [lab.bench.unmap(host, device + 1, handle, 0), lab.flags(G1)];
    },
  ],
  [
    'U21',
    (lab) => {
      mapped(lab, MAP_READ);
      lab.bench.setFlags(8, R, G1);
      lab.bench.setFlags(0, R, G1);
      return [lab.unmap(), lab.flags(G1)];
    },
  ],
  [
    'U23',
    (lab) => {
      mapped(lab, MAP_READ);
      setReadonly(lab);
      return [lab.map(G1, MAP_WRITE), lab.flags(G1)];
    },
  ],
  [
    'U24',
    (lab) => {
      mapped(lab, MAP_READ);
      lab.bench.setFlags(0, R, G1);
      const answers = [lab.map(G1, MAP_WRITE), lab.flags(G1)];
      lab.unmap(1);
      lab.unmap(0);
      return [...answers, lab.flags(G1)];
    },
  ],
  ['M27', oneV2(1, 0, MAP_WRITE)],
  [
    'M27 after',
    (lab) => {
      mappedV2(lab, MAP_WRITE);
      lab.unmap();
      return lab.status(G2);
    },
  ],
  ['M28', oneV2(1, 0, MAP_READ)],
  ['M29', oneV2(5, 0, MAP_WRITE)],
  [
    'M30',
    (lab) => {
      lab.subPage(0x101, 0, 4096);
      return [lab.map(G2, MAP_READ), lab.flags(G2), lab.status(G2)];
    },
  ],
  [
    'M31',
    (lab) => {
      lab.through(3, G3, R);
      return [lab.map(G2, MAP_READ), lab.flags(G2), lab.status(G2)];
    },
  ],
  ['M32', oneV2(1, 0, MAP_READ, 2 ** 40)],
  [
    'M44',
    (lab) => {
      lab.bench.sub(1, 0, 0xbeef, 0xbeef, lab.F2, R, G2);
      return [lab.map(G2, MAP_READ), lab.flags(G2), lab.status(G2)];
    },
  ],
  ['M9 v2', oneV2(2, 0, MAP_READ)],
  ['M5 v2', oneV2(1, G1, MAP_READ)],
  ['M13 v2', oneV2(0xfe01, 0, MAP_READ)],
  [
    'M19',
    (lab) => {
      lab.set(G2, 1, 0, lab.F2, 255);
      return [lab.map(G2, MAP_READ, 255), lab.map(G2, MAP_READ, 256)];
    },
  ],
  [
    'U17',
    (lab) => {
      mappedV2(lab, MAP_READ);
      lab.bench.setFlags(0, R, G2);
      return [lab.map(G2, MAP_READ), lab.status(G2)];
    },
  ],
  [
    'U18',
    (lab) => {
      mappedV2(lab, MAP_READ);
      lab.bench.setFlags(0, R, G2);
      return [lab.map(G2, MAP_WRITE), lab.status(G2)];
    },
  ],
  [
    'U19',
    (lab) => {
      mappedV2(lab, MAP_READ);
      lab.bench.setFlags(4, R, G2);
      return [lab.map(G2, MAP_WRITE), lab.status(G2)];
    },
  ],
  [
    'U20',
    (lab) => {
      mappedV2(lab, MAP_READ);
      lab.bench.setFlags(0, R, G2);
      lab.unmap();
      return [lab.map(G2, MAP_READ), lab.status(G2)];
    },
  ],
  ['M20 v2', (lab) => [...mappedV2(lab, MAP_READ, MAP_WRITE), lab.status(G2)]],
  [
    'U2 v2',
    (lab) => {
      mappedV2(lab, MAP_READ, MAP_WRITE);
      lab.unmap(1);
      return lab.status(G2);
    },
  ],
  [
    'U3 v2',
    (lab) => {
      mappedV2(lab, MAP_READ, MAP_WRITE);
      lab.unmap(0);
      return lab.status(G2);
    },
  ],
  [
    'M22 v2 second writable map after readonly set',
    (lab) => {
      mappedV2(lab, MAP_WRITE);
      lab.bench.setFlags(5, R, G2);
      return [lab.map(G2, MAP_WRITE), lab.status(G2)];
    },
  ],
  [
    'M22 v2 after',
    (lab) => {
      mappedV2(lab, MAP_WRITE);
      lab.bench.setFlags(5, R, G2);
      lab.map(G2, MAP_WRITE);
      lab.unmap(1);
      lab.unmap(0);
      return lab.status(G2);
    },
  ],
];

/** What the struct holds after a map that failed: the bench's own marks are not the lab's, so both are told as kept or not. */
function untouched(lab: ReferenceLab): unknown {
  const [handle, device] = lab.bench.mapStruct(0);
  return [handle === 0xdead ? hex(0xdeadbeef) : hex(handle), hex(device)];
}
