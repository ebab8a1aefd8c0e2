/** The security advisories of the specification (§11), each as what must hold. */
import { describe, expect, it } from 'vitest';
import { A, B, C, GrantBench, SELF } from './grant-bench';
import { checkRows, type VectorRow } from './vector-rows';

const DOM0 = 0;
const V2 = { versions: [2, 1, 1] } as const;
const PV = { kind: 'pv' } as const;

function mapped(b: GrantBench, ...flags: readonly number[]): GrantBench {
  b.e(1, B, b.F);
  for (const flag of flags) b.map(flag);
  return b;
}

const ROWS: readonly VectorRow[] = [
  ['XSA-18: swap checks both references', (b) => [b.swap(0xffff_ffff, 8), b.swap(8, 0xffff_ffff)], [-3, -3]],
  [
    'XSA-24 and 382: a huge list of status frames ends at once and writes nothing',
    (b) => {
      b.setVersion(2);
      b.words.fill(0x55, (b.argument(A) + 512) >>> 2, (b.argument(A) + 528) >>> 2);
      return [b.statusFrames(A, SELF, 0xffff_ffff), b.statusFrames(A, SELF, 2), b.listed(A, 2)];
    },
    [-14, -1, [0x55, 0x55]],
    PV,
  ],
  [
    'XSA-26: changing versions a thousand times leaks no page',
    (b) => {
      b.setVersion(2);
      b.setVersion(1);
      const before = b.machine.freeFrames;
      for (let count = 0; count < 1000; count++) {
        b.setVersion(2);
        b.setVersion(1);
      }
      return b.machine.freeFrames - before;
    },
    0,
  ],
  ['XSA-134: a table whose guest never chose a version', (b) => [b.swap(8, 9), b.version()], [0, 1]],
  [
    'XSA-222 and 287: a page that somebody uses is not transferred',
    (b) => {
      b.e(2, B, 0);
      b.e(1, C, b.ownFrame, 8, B);
      b.map(6, { caller: C, dom: B });
      return [b.transfer(B, b.ownFrame, A, 8), b.host.pageOwner(b.ownFrame), b.un(0, C)];
    },
    [-9, B, 0],
    PV,
  ],
  [
    'XSA-224 and 394: partial and empty unmaps drop nothing else',
    (b) => {
      const { host, handle, device } = mapped(b, 3).mapping();
      const pins = [0, 1, 2].map(() => [b.unmap(0, 0, handle), b.pin()]);
      const failed = [b.unmap(host, device + 4096, handle), b.unmap(host + 4096, device, handle), b.pin()];
      return [pins, failed, b.unmap(host, 0, handle), b.unmap(host, 0, handle), b.pin()];
    },
    [
      [
        [0, 0x10001],
        [0, 0x10001],
        [0, 0x10001],
      ],
      [-6, -1, 0x10001],
      0,
      0,
      0x10000,
    ],
    PV,
  ],
  [
    'XSA-224: a device map makes no host mapping',
    (b) => {
      b.e(1, B, b.F);
      let calls = 0;
      b.during('mapHostAddress', () => {
        calls++;
      });
      return [b.map(5), calls, b.pin()];
    },
    [0, 0, 0x0100_0000],
    PV,
  ],
  [
    'XSA-226: copies through a transitive entry in use take and drop the inner grant each time',
    (b) => {
      b.e(1, A, b.frameOfC, 9, C);
      b.trans(3, B, C, 9);
      const inner = b.entry(9, C);
      const seen: number[] = [];
      b.during('copy', () => seen.push((b.words[inner] as number) & 0x18));
      const copies = [0, 4, 8].map((offset) => ({
        source: { dom: A, ref: 8, offset },
        dest: { dom: A, ref: 8, offset: offset + 100 },
        length: 4,
      }));
      return [b.copyBatch(copies), seen, b.flags(9, C), b.pin(9, C), b.st(), b.setVersion(1)];
    },
    [[0, [0, 0, 0]], [0x18, 0x18, 0x18], 1, 0, 0, [0, 1]],
    V2,
  ],
  [
    'XSA-230: the end of a copy leaves the bits other pins need',
    (b) => {
      const { device, handle, host } = mapped(b, 1, 2).mapping();
      const copies = [b.from(), b.flags(), b.to(), b.flags()];
      b.un(1);
      return [...copies, b.from(), b.flags(), b.unmap(host, device, handle), b.flags()];
    },
    [0, 0x19, 0, 0x19, 0, 0x19, 0, 1],
    PV,
  ],
  [
    'XSA-236: a copy drops its pin before its reference on the page',
    (b) => {
      b.e(1, B, b.F);
      const active = b.entry();
      const seen: number[] = [];
      b.during('releasePage', (frame) => {
        if (frame === b.machineFrame(A, b.F)) seen.push((b.words[active] as number) & 0x18);
      });
      return [b.from(), seen];
    },
    [0, [0]],
    { plain: true },
  ],
  [
    'XSA-255: version 1 refused while a status frame is held keeps version 2 working',
    (b) => {
      let held = true;
      Object.assign(b.host, { withdrawPage: () => !held });
      b.e(1, B, b.F);
      const refused = b.setVersion(1);
      const works = [b.map(6), b.st(), b.un(), b.st()];
      held = false;
      return [refused, works, b.setVersion(1)];
    },
    [
      [-16, 2],
      [0, 8, 0, 0],
      [0, 1],
    ],
    { ...V2, ...PV },
  ],
  [
    'XSA-268: a Xen without version 2',
    (b) => b.setVersion(2),
    [-38, 1],
    { machine: { grantTables: { maxVersion: 1 } } },
  ],
  [
    'XSA-284: the frame reported is the frame given',
    (b) => {
      b.e(2, B, 0);
      const limit = b.machine.hypervisor.domains.block(A) + 5;
      b.words[limit] = (b.words[limit] as number) + 1;
      return [b.transfer(B, b.ownFrame, A, 8), b.host.pageOwner(b.frameField())];
    },
    [0, A],
    PV,
  ],
  ['XSA-316: a refused map has a negative status', (b) => [b.e(1, C, b.F), b.map(2) < 0].slice(1), [true]],
  [
    'XSA-318: every element of a batch gets its status',
    (b) => {
      const statuses = b.copyBatch(
        Array.from({ length: 100 }, (_, index) => ({
          source: { dom: index === 0 ? 77 : A, ref: 9999 },
          dest: { frame: b.ownFrame },
          length: 4,
        })),
      );
      return [statuses[0], statuses[1][0], new Set(statuses[1].slice(1))];
    },
    [0, -2, new Set([-3])],
  ],
  [
    'XSA-380: read-only and writable mappings of a frame are counted apart at the end of their domain',
    (b) => {
      mapped(b, 2, 6, 6);
      b.machine.destroyDomain(B);
      return [b.flags(), b.pin(), b.machine.leaks()];
    },
    [1, 0, []],
  ],
  [
    'XSA-379, 384 and 486: status frames taken back are Xen’s no more',
    (b) => {
      const frame = b.machine.hypervisor.grants.tableFrame(A, 0, true);
      b.setVersion(1);
      return [b.host.pageOwner(frame), b.machine.hypervisor.frames.owner(frame)];
    },
    [-1, -1],
    V2,
  ],
  [
    'XSA-411: a transitive copy that fails inside lets go of both',
    (b) => {
      b.e(1, A, 0x7777, 9, C);
      b.trans(3, B, C, 9);
      return [b.from(), b.st(), b.flags(9, C), b.pin(), b.pin(9, C), b.setVersion(1)];
    },
    [-9, 0, 1, 0, 0, [0, 1]],
    V2,
  ],
  ['after XSA-448: a copy of no bytes is a success', (b) => b.from(9999, 0, 9999, 77), 0],
  [
    'XSA-500: the first write copy of a read-mapped grant that changed',
    (b) => {
      mapped(b, 6).setFrame(b.G);
      return [b.to(), b.flags(), b.text(A, 1, 0, 1)];
    },
    [-1, 9, 'G'],
  ],
  [
    'XSA-501: a version change on the way of a failing map finds only reserved references',
    (b) => {
      b.e(1, DOM0, b.F, 1);
      Object.assign(b.host, {
        mapHostAddress: () => {
          b.setVersion(2);
          return -1;
        },
      });
      return [b.map(2, { ref: 1, caller: DOM0 }), b.version(), b.flags(1), b.st(1), b.pin(1)];
    },
    [-1, 2, 1, 0, 0],
  ],
];

describe('security advisories', () => checkRows(ROWS));

describe('XSA-396: what a guest trusts', () => {
  it.each([1, 2] as const)('a page shared under version %d is not reused before its use ends', (version) => {
    const b = new GrantBench({ versions: [version, 1, 1] });
    const { grants, memory, id } = b.domain(A);
    const free = memory.freePages;
    const shared = grants.share(b.domain(B).id, 1, 'readwrite');
    const ref = shared?.refs[0];
    if (shared === undefined || ref === undefined) throw new Error('nothing shared');
    b.map(2, { ref });
    expect(shared.end()).toBe(1);
    expect([memory.freePages, grants.entries?.statistics.deferred]).toEqual([free - 1, 1]);
    b.un();
    b.machine.scheduler.schedule(() => {}, 20);
    (b.machine.scheduler as unknown as { flush(): void }).flush();
    expect([memory.freePages, grants.entries?.statistics]).toMatchObject([
      free,
      { deferred: 0, deferredEnded: 1, allocatedRefs: 0 },
    ]);
    expect(b.machine.accounting(id)?.activeGrants).toBe(0);
  });
});

describe('every pair of versions', () => {
  const pairs = ([1, 2] as const).flatMap((granter) =>
    ([1, 2] as const).flatMap((caller) =>
      ([1, 2] as const).map((third) => [granter, caller, third] as const),
    ),
  );

  it.each(pairs)('granter %d, caller %d, third %d: one batch of copies over all of them', (...versions) => {
    const b = new GrantBench({ versions });
    b.e(5, B, b.F);
    b.e(1, B, b.frameOfC, 8, C);
    b.e(1, B, b.frame(B, 1), 8, B);
    b.fill(B, 1, 0x62);
    const copies = [
      { source: { dom: A, ref: 8 }, dest: { frame: b.ownFrame }, length: 1 },
      { source: { dom: C, ref: 8 }, dest: { frame: b.ownFrame, offset: 1 }, length: 1 },
      { source: { dom: B, ref: 8 }, dest: { frame: b.ownFrame, offset: 2 }, length: 1 },
      { source: { dom: A, ref: 8 }, dest: { dom: C, ref: 8, offset: 9 }, length: 1 },
      { source: { frame: b.ownFrame }, dest: { dom: A, ref: 8 }, length: 1 },
      { source: { dom: A, ref: 512 }, dest: { frame: b.ownFrame }, length: 1 },
      { source: { dom: C, ref: 300 }, dest: { frame: b.ownFrame }, length: 1 },
    ];
    const outOfRange = (version: number) => (version === 2 ? -3 : -1);
    expect(b.copyBatch(copies)).toEqual([0, [0, 0, 0, 0, -1, -3, outOfRange(versions[2])]]);
    expect([b.got(), b.text(C, 0, 9, 1)]).toEqual(['FCbB', 'F']);
  });

  it.each(pairs)('granter %d, caller %d, third %d: one batch of maps, and their end', (...versions) => {
    const b = new GrantBench({ versions });
    b.e(1, B, b.F);
    b.e(1, B, b.frameOfC, 8, C);
    b.e(1, B, b.frame(B, 1), 8, B);
    const statuses = [A, C, B].map((dom) => b.map(2, { dom }));
    const bits = [A, C, B].map((dom) => (b.version(dom) === 2 ? b.st(8, dom) : b.flags(8, dom) & 0x18));
    expect([statuses, bits]).toEqual([
      [0, 0, 0],
      [0x18, 0x18, 0x18],
    ]);
    expect(b.unmapBatch(b.maps.map(({ host, handle }) => [host, 0, handle] as const))).toEqual([0, 0, 0]);
    expect(b.machine.leaks()).toEqual([]);
  });
});
