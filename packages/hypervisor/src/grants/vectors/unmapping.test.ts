import { describe, expect, it } from 'vitest';
import { A, B, C, GrantBench } from './grant-bench';
import { checkRows, type VectorRow } from './vector-rows';

function mapped(b: GrantBench, ...flags: readonly number[]): GrantBench {
  b.e(1, B, b.F);
  for (const flag of flags) b.map(flag);
  return b;
}

/** Version 2, read-mapped, then revoked by A: the state rows U17 to U20 start from. */
function revokedInUse(b: GrantBench): number[] {
  mapped(b, 6);
  b.setFlags(0);
  return [b.st(), b.map(6)];
}

const HVM: readonly VectorRow[] = [
  ['U1', (b) => [mapped(b, 2).un(), b.flags(), b.pin()], [0, 1, 0]],
  ['U2: the writable one first', (b) => [mapped(b, 6, 2).un(1), b.flags(), b.pin()], [0, 9, 0x100]],
  ['U3: the read-only one first', (b) => [mapped(b, 6, 2).un(0), b.flags(), b.pin()], [0, 0x19, 1]],
  ['U4: one of two read-only ones', (b) => [mapped(b, 6, 6).un(), b.flags()], [0, 9]],
  [
    'U5: handles that are none',
    (b) => {
      mapped(b, 6).un();
      return [b.unmap(4096, 0, 70000), b.unmap(4096, 0, 5), b.unmap(4096, 0, -1)];
    },
    [-4, -4, -4],
  ],
  [
    'U6: a handle twice, also in one batch',
    (b) => {
      const { host, handle } = mapped(b, 6).mapping();
      return [
        b.unmapBatch([
          [host, 0, handle],
          [host, 0, handle],
        ]),
        b.unmap(host, 0, handle),
      ];
    },
    [[0, -4], -4],
  ],
  [
    'U7: no address, nothing done',
    (b) => {
      const { handle } = mapped(b, 6).mapping();
      return [b.unmap(0, 0, handle), b.flags(), b.un()];
    },
    [0, 9, 0],
  ],
  [
    'U8: a wrong address',
    (b) => {
      const { host, handle } = mapped(b, 6).mapping();
      return [b.unmap(host + 4096, 0, handle), b.flags(), b.un()];
    },
    [-1, 9, 0],
  ],
  [
    'U9: a device address of a handle without device part',
    (b) => {
      const { host, handle } = mapped(b, 6).mapping();
      return [b.unmap(host, 0x1234_5000, handle), b.flags()];
    },
    [0, 1],
  ],
  [
    'U13: bits go after the whole group',
    (b) => {
      mapped(b, 6, 6);
      const seen: number[] = [];
      const entry = b.entry();
      b.during('unmapHostAddress', () => seen.push((b.words[entry] as number) & 0xffff));
      const elements = b.maps.map(({ host, handle }) => [host, 0, handle] as const);
      return [b.unmapBatch(elements), seen, b.flags()];
    },
    [[0, 0], [9, 9], 1],
  ],
  [
    'U14: what an HVM caller may not call, and what nobody may',
    (b) => [...[7, 4, 9, 12, 3].map((command) => b.call(B, command, 1)), b.call(0, 3, 1), b.call(0, 12, 1)],
    [-38, -38, -38, -38, -38, -38, -38],
  ],
  [
    'U15: a grant in use is not revoked, version 1',
    (b) => {
      const entries = b.domain(A).grants.entries;
      const ref = entries?.allocate();
      if (entries === undefined || ref === undefined) return 'no entries';
      entries.publishFullPage(ref, b.domain(B).id, b.page(A, 0).frame, false);
      b.map(2, { ref });
      return [entries.revoke(ref), b.flags(ref), b.un(), entries.revoke(ref), b.flags(ref)];
    },
    [false, 0x19, 0, true, 0],
  ],
  [
    'U21: flags cleared while mapped',
    (b) => {
      mapped(b, 2);
      b.setFlags(0);
      return [b.un(), b.flags()];
    },
    [0, 0],
  ],
  [
    'U22: another entry in a reference still in use',
    (b) => {
      mapped(b, 2);
      b.e(1, C, b.G);
      return [b.map(6, { caller: C }), b.un(), b.map(6, { caller: C })];
    },
    [-1, 0, 0],
  ],
  [
    'U23: made read-only while read-mapped',
    (b) => {
      mapped(b, 6);
      b.orFlags(4);
      return [b.flags(), b.map(2)];
    },
    [0xd, -1],
  ],
  [
    'U24: flags cleared while read-mapped, then a write',
    (b) => {
      mapped(b, 6);
      b.setFlags(0);
      const seen = [b.map(2), b.flags()];
      return [...seen, b.un(0), b.un(1), b.flags()];
    },
    [0, 0x18, 0, 0, 0],
  ],
  [
    'U25: the other mapping’s address with this handle',
    (b) => {
      mapped(b, 6, 2);
      return [b.unmap(b.mapping(1).host, 0, b.mapping(0).handle), b.flags(), b.pin()];
    },
    [0, 0x19, 1],
  ],
  [
    'U25 PV: a page-table entry of other access is not this handle’s',
    (b) => {
      mapped(b, 6, 2);
      return [b.unmap(b.mapping(1).host, 0, b.mapping(0).handle), b.flags(), b.pin()];
    },
    [-1, 0x19, 0x101],
    { kind: 'pv' },
  ],
];

const VERSION_2: readonly VectorRow[] = [
  ['U2 in version 2', (b) => [mapped(b, 6, 2).un(1), b.st()], [0, 8]],
  ['U3 in version 2', (b) => [mapped(b, 6, 2).un(0), b.st()], [0, 0x18]],
  ['U17: revoked in use: readers go on', revokedInUse, [8, 0]],
  [
    'U18: and a writer, since readonly is all that is looked at',
    (b) => [revokedInUse(b), b.map(2), b.st()].slice(1),
    [0, 0x18],
  ],
  [
    'U19: invalid and read-only',
    (b) => {
      revokedInUse(b);
      b.setFlags(4);
      return [b.map(2), b.st()];
    },
    [-1, 8],
  ],
  [
    'U20: revoked for good once all is unmapped',
    (b) => {
      revokedInUse(b);
      return [b.un(0), b.un(1), b.st(), b.map(6)];
    },
    [0, 0, 0, -1],
  ],
];

const PV: readonly VectorRow[] = [
  [
    'U10: the host part alone',
    (b) => {
      const { host, handle } = mapped(b, 3).mapping();
      return [b.unmap(host, 0, handle), b.pin(), b.flags(), b.unmap(0, 0, handle)];
    },
    [0, 0x10000, 0x19, 0],
  ],
  [
    'U11: then the device part',
    (b) => {
      const { host, handle, device } = mapped(b, 3).mapping();
      b.unmap(host, 0, handle);
      return [b.unmap(0, device, handle), b.flags(), b.pin(), b.unmap(0, 0, handle)];
    },
    [0, 1, 0, -4],
  ],
  [
    'U12: a device address off by one: neither part',
    (b) => {
      const { host, handle, device } = mapped(b, 3).mapping();
      return [b.unmap(host, device + 1, handle), b.pin(), b.unmap(host, device, handle), b.flags()];
    },
    [-6, 0x10001, 0, 1],
  ],
  ['M15 for PV: device and host, application', (b) => [mapped(b, 3, 0xa).flags(), b.maps.length], [0x19, 2]],
  [
    'unmap_and_replace moves a mapping',
    (b) => {
      mapped(b, 2, 2);
      const [first, second] = [b.mapping(0), b.mapping(1)];
      return [
        b.replace(first.host, second.host, first.handle),
        b.unmap(second.host, 0, second.handle),
        b.unmap(first.host, 0, second.handle),
        b.flags(),
      ];
    },
    [0, -1, 0, 1],
  ],
];

describe('unmapping and revoking', () => checkRows(HVM));
describe('unmapping and revoking, version 2', () => checkRows(VERSION_2, { versions: [2, 1, 1] }));
describe('unmapping by a PV caller', () => checkRows(PV, { kind: 'pv' }));

describe('U16: a revoke against a map, at every point of it', () => {
  it.each([1, 2] as const)('version %d: before, either wins alone', (version) => {
    const b = new GrantBench({ versions: [version, 1, 1] });
    const entries = b.domain(A).grants.entries;
    const ref = entries?.allocate();
    if (entries === undefined || ref === undefined) throw new Error('no entries');
    let revoked: boolean | undefined;
    b.during('mapHostAddress', () => {
      revoked = entries.revoke(ref);
    });
    entries.publishFullPage(ref, b.domain(B).id, b.page(A, 0).frame, false);
    expect([b.map(2, { ref }), revoked]).toEqual([0, false]);
    b.un();
    entries.publishFullPage(ref, b.domain(B).id, b.page(A, 0).frame, false);
    expect([entries.revoke(ref), b.map(2, { ref })]).toEqual([true, -1]);
  });
});
