import { SeededRandom } from '@netchannel2/testing';
import { bareFrameScript } from './bare-frame-script';
import {
  type CopySide,
  GUESTS,
  MAPPING_SLOTS,
  type PageName,
  type ScriptOperation,
  TABLE_VERSIONS,
} from './grant-script';
import { ownTableScript, ownTableVectors } from './own-table-scripts';

const FIRST_REF = 100;
/** Refs for all kinds of entries but transitive ones. */
const PLAIN_REFS = 6;
/** Refs that only ever hold transitive entries: an entry turned transitive while it is mapped keeps a copy waiting for ever. */
const TRANSITIVE_REFS = 2;
const SLOTS = MAPPING_SLOTS;
const EVENT_SLOTS = 12;
const STRANGER = 777;
const DOMID_SELF = 0x7ff0;
const MAP_DEVICE = 1;
const MAP_DEVICE_READONLY = 5;

/** A long random sequence: entries written and rewritten, mapped, unmapped, copied, whatever state they are in. */
export function randomScript(seed: number, length: number): readonly ScriptOperation[] {
  const random = new SeededRandom(seed);
  const pick = <Item>(items: readonly Item[]): Item => items[random.integer(0, items.length - 1)] as Item;
  const chance = (percent: number): boolean => random.integer(0, 99) < percent;
  const guest = (): number => pick(GUESTS);
  const grantee = (): number => (chance(80) ? 0 : pick([...GUESTS, STRANGER, DOMID_SELF]));
  const page = (domain: number): PageName =>
    chance(4) ? 'bad' : { domain: chance(97) ? domain : guest(), page: random.integer(0, 1) };
  const plainRef = (): number => FIRST_REF + random.integer(0, PLAIN_REFS - 1);
  const transitiveRef = (): number => FIRST_REF + PLAIN_REFS + random.integer(0, TRANSITIVE_REFS - 1);
  const anyRef = (): number => (chance(4) ? 1 << 20 : chance(75) ? plainRef() : transitiveRef());
  const anyDomain = (): number => (chance(96) ? guest() : pick([STRANGER, DOMID_SELF]));
  const offset = (): number => pick([0, 0, 1, 99, 100, 149, 150, 4000, 4095, 4096, random.integer(0, 4200)]);
  const copyLength = (): number => pick([0, 1, 4, 16, 50, 51, 96, 97, 4096, 4097, random.integer(0, 4200)]);

  const entry = (): ScriptOperation => {
    const table = guest();
    const version2 = TABLE_VERSIONS[table as 1 | 2 | 3] === 2;
    if (version2 && chance(25)) {
      return {
        op: 'entry',
        table,
        ref: transitiveRef(),
        flags: pick([3, 3, 3, 7, 0]),
        grantee: grantee(),
        page: 'bad',
        extra: {
          owner: chance(90) ? guest() : pick([STRANGER, DOMID_SELF]),
          ref: chance(92) ? plainRef() : 1 << 20,
        },
      };
    }
    const subPage = chance(30);
    const flags = pick([1, 1, 1, 1, 5, 5, 0, 2, 0xfe01]) | (subPage ? 0x100 : 0);
    const base = {
      op: 'entry',
      table,
      ref: plainRef(),
      flags,
      grantee: grantee(),
      page: page(table),
    } as const;
    return version2 && subPage
      ? { ...base, extra: { offset: pick([0, 100, 4000, 0x8064]), length: pick([0, 10, 50, 200, 4096]) } }
      : base;
  };
  const side = (): CopySide => {
    const form = random.integer(0, 99);
    if (form < 82) return { domain: anyDomain(), ref: anyRef(), offset: offset() };
    if (form < 95)
      return { domain: DOMID_SELF, page: { domain: 0, page: random.integer(0, 1) }, offset: offset() };
    return { domain: chance(50) ? DOMID_SELF : guest(), page: page(guest()), offset: offset() };
  };
  const next = (): ScriptOperation => {
    const kind = random.integer(0, 99);
    if (kind < 26) return entry();
    if (kind < 30) return { op: 'flags', table: guest(), ref: plainRef(), flags: pick([0, 1, 4, 5, 0x101]) };
    if (kind < 52)
      return {
        op: 'map',
        slot: random.integer(0, SLOTS - 1),
        domain: anyDomain(),
        ref: anyRef(),
        flags: pick([
          MAP_DEVICE,
          MAP_DEVICE,
          MAP_DEVICE_READONLY,
          MAP_DEVICE_READONLY,
          MAP_DEVICE_READONLY,
          0,
          4,
        ]),
      };
    if (kind < 70)
      return {
        op: 'unmap',
        slot: random.integer(0, SLOTS - 1),
        address: pick(['right', 'right', 'right', 'right', 'none', 'wrong']),
      };
    if (kind < 97)
      return {
        op: 'copy',
        segments: Array.from({ length: random.integer(1, 4) }, () => ({
          source: side(),
          target: side(),
          length: copyLength(),
        })),
      };
    if (kind < 98) return { op: 'size', domain: pick([...GUESTS, STRANGER]) };
    if (kind < 99) return { op: 'version', domain: pick([...GUESTS, STRANGER]) };
    return { op: 'statusFrames', domain: pick([...GUESTS, STRANGER]), count: random.integer(0, 2) };
  };
  return mapOnlyFreeSlots(Array.from({ length }, next));
}

/** A slot that holds a handle is not overwritten, or the mapping could not be ended: such a map becomes an unmap. */
function mapOnlyFreeSlots(script: readonly ScriptOperation[]): readonly ScriptOperation[] {
  const taken = new Set<number>();
  return script.map((operation) => {
    if (operation.op === 'unmap' && operation.address === 'right') taken.delete(operation.slot);
    if (operation.op !== 'map') return operation;
    const { slot } = operation;
    if (taken.delete(slot)) return { op: 'unmap', slot, address: 'right' };
    taken.add(slot);
    return operation;
  });
}

/** Ports of guests and dom0's ends of them. */
export function randomEventScript(seed: number, length: number): readonly ScriptOperation[] {
  const random = new SeededRandom(seed);
  const slot = (): number => random.integer(0, EVENT_SLOTS - 1);
  const guest = (): number => random.integer(1, 3);
  const allocated = new Set<number>();
  const bound = new Set<number>();
  return Array.from({ length }, (): ScriptOperation => {
    const kind = random.integer(0, 99);
    if (kind < 25) {
      // Slots below the first bound one are guests' ports, the others dom0's.
      const own = slot();
      if (allocated.has(own)) return { op: 'status', slot: own };
      allocated.add(own);
      return {
        op: 'allocate',
        slot: own,
        domain: random.integer(0, 9) === 0 ? STRANGER : guest(),
        remote: random.integer(0, 3),
      };
    }
    if (kind < 50) {
      const own = EVENT_SLOTS + slot();
      if (bound.has(own)) {
        bound.delete(own);
        return { op: 'close', slot: own };
      }
      bound.add(own);
      return { op: 'bind', slot: own, remoteSlot: slot() };
    }
    if (kind < 75) return { op: 'status', slot: random.integer(0, 2 * EVENT_SLOTS - 1) };
    if (kind < 85) return { op: 'send', slot: EVENT_SLOTS + slot() };
    if (kind < 90) return { op: 'unmask', slot: EVENT_SLOTS + slot() };
    if (kind < 98) return { op: 'status', domain: STRANGER, slot: slot() };
    return { op: 'eventCommand', command: random.integer(90, 99) };
  });
}

const e = (
  table: number,
  ref: number,
  flags: number,
  grantee = 0,
  page: PageName = { domain: table, page: 0 },
): ScriptOperation => ({ op: 'entry', table, ref, flags, grantee, page });
const map = (slot: number, domain: number, ref: number, flags: number): ScriptOperation => ({
  op: 'map',
  slot,
  domain,
  ref,
  flags,
});
const unmap = (slot: number, address: 'right' | 'none' | 'wrong' = 'right'): ScriptOperation => ({
  op: 'unmap',
  slot,
  address,
});
const flags = (table: number, ref: number, value: number): ScriptOperation => ({
  op: 'flags',
  table,
  ref,
  flags: value,
});
const grant = (domain: number, ref: number, offset = 0): CopySide => ({ domain, ref, offset });
const copy = (source: CopySide, target: CopySide, length: number): ScriptOperation => ({
  op: 'copy',
  segments: [{ source, target, length }],
});

/** Sequences of the specification (grant-tables.md §10) that dom0's user space can make, each on a version 1 and a version 2 table. */
export function vectorScript(): readonly ScriptOperation[] {
  const script: ScriptOperation[] = [];
  const R = 100;
  for (const T of [1, 2]) {
    const own = { domain: DOMID_SELF, page: { domain: 0, page: 0 }, offset: 0 } as const;
    // Single maps of every kind of entry, for reading and for writing.
    for (const value of [1, 5, 0, 2, 3, 7, 0x101, 0x105, 0xfe01, 0x11, 0x09]) {
      for (const grantee of [0, 2, DOMID_SELF]) {
        script.push(
          e(T, R, value, grantee),
          map(0, T, R, MAP_DEVICE_READONLY),
          unmap(0),
          map(1, T, R, MAP_DEVICE),
          unmap(1),
        );
      }
    }
    script.push(e(T, R, 1, 0, 'bad'), map(0, T, R, MAP_DEVICE), map(0, T, R, MAP_DEVICE_READONLY));
    // Reference counting, write and read, upgrades against the guest's wish, entries rewritten under a mapping.
    script.push(e(T, R, 1), map(0, T, R, 5), map(1, T, R, 1), unmap(1), map(1, T, R, 1), unmap(0), unmap(1));
    script.push(e(T, R, 1), map(0, T, R, 5), flags(T, R, 5 | 8), map(1, T, R, 1), unmap(1), unmap(0));
    script.push(e(T, R, 1), map(0, T, R, 1), flags(T, R, 5 | 0x18), map(1, T, R, 1), unmap(1), unmap(0));
    script.push(
      e(T, R, 1),
      map(0, T, R, 5),
      e(T, R, 1, 0, { domain: T, page: 1 }),
      map(1, T, R, 5),
      unmap(1),
      unmap(0),
    );
    script.push(
      e(T, R, 1),
      map(0, T, R, 5),
      flags(T, R, 0),
      map(1, T, R, 5),
      map(2, T, R, 1),
      unmap(2),
      unmap(1),
      unmap(0),
      map(0, T, R, 5),
    );
    script.push(
      e(T, R, 1),
      map(0, T, R, 5),
      unmap(0, 'none'),
      unmap(0, 'wrong'),
      unmap(0),
      unmap(0),
      unmap(5),
    );
    // Copies: bounds, read-only entries, sub-pages, entries in use.
    script.push(e(T, 101, 1, 0, { domain: T, page: 1 }));
    for (const [value, offset, length] of [
      [1, 0, 4096],
      [1, 4095, 1],
      [1, 4000, 97],
      [1, 0, 4097],
      [1, 4097, 0],
      [5, 0, 16],
      [0x101, 0, 4096],
      [2, 0, 1],
      [3, 0, 1],
    ] as const) {
      script.push(
        e(T, R, value),
        copy(grant(T, R, offset), grant(T, 101), length),
        copy(grant(T, 101), grant(T, R, offset), length),
      );
      script.push(copy(grant(T, R, offset), own, length), copy(own, grant(T, R, offset), length));
    }
    script.push(
      copy(grant(STRANGER, R), grant(T, 101), 4),
      copy(grant(T, R), grant(STRANGER, 101), 4),
      copy(grant(T, 1 << 20), grant(T, 101), 4),
    );
    script.push(
      copy({ domain: T, page: { domain: T, page: 0 }, offset: 0 }, grant(T, 101), 4),
      copy({ domain: DOMID_SELF, page: 'bad', offset: 0 }, grant(T, 101), 4),
    );
    script.push(copy(own, { domain: DOMID_SELF, page: { domain: 0, page: 1 }, offset: 8 }, 100));
    script.push(
      e(T, R, 1),
      map(0, T, R, 5),
      copy(grant(T, R), grant(T, 101), 8),
      copy(grant(T, 101), grant(T, R), 8),
      e(T, R, 1, 0, { domain: T, page: 1 }),
      copy(grant(T, R), own, 8),
      copy(own, grant(T, R), 8),
      unmap(0),
    );
    script.push(e(T, R, 1, 2), copy(grant(T, R), own, 8), e(T, R, 1), {
      op: 'copy',
      segments: [
        { source: grant(T, R), target: own, length: 8 },
        { source: grant(T, 1 << 20), target: own, length: 8 },
        { source: grant(T, R), target: own, length: 8 },
      ],
    });
  }
  // Sub-pages and transitive entries of version 2.
  const own = { domain: DOMID_SELF, page: { domain: 0, page: 1 }, offset: 0 } as const;
  for (const [offset, length] of [
    [100, 50],
    [4000, 200],
    [100, 0],
    [0x8064, 50],
    [0, 4096],
  ] as const) {
    script.push({
      op: 'entry',
      table: 2,
      ref: R,
      flags: 0x101,
      grantee: 0,
      page: { domain: 2, page: 0 },
      extra: { offset, length },
    });
    for (const [from, count] of [
      [100, 50],
      [99, 1],
      [149, 2],
      [150, 1],
      [4000, 96],
      [4000, 97],
      [0, 4096],
    ] as const)
      script.push(copy(grant(2, R, from), own, count), copy(own, grant(2, R, from), count));
    script.push(map(0, 2, R, 5));
  }
  for (const inner of [1, 3]) {
    const transitive = (value: number, owner: number, ref: number): ScriptOperation => ({
      op: 'entry',
      table: 2,
      ref: 106,
      flags: value,
      grantee: 0,
      page: 'bad',
      extra: { owner, ref },
    });
    script.push(
      e(inner, 102, 1, 2),
      transitive(3, inner, 102),
      copy(grant(2, 106), own, 4),
      copy(own, grant(2, 106), 4),
      copy(grant(2, 106, 4000), own, 97),
      map(0, 2, 106, 5),
    );
    script.push(
      transitive(7, inner, 102),
      copy(own, grant(2, 106), 4),
      copy(grant(2, 106), own, 4),
      e(inner, 102, 5, 2),
      transitive(3, inner, 102),
      copy(own, grant(2, 106), 4),
    );
    script.push(
      e(inner, 102, 1, 0),
      copy(grant(2, 106), own, 4),
      transitive(3, inner, 1 << 20),
      copy(grant(2, 106), own, 4),
      e(inner, 102, 1, 2, 'bad'),
      transitive(3, inner, 102),
      copy(grant(2, 106), own, 4),
    );
    script.push(
      transitive(3, 2, 101),
      copy(grant(2, 106), own, 4),
      transitive(3, STRANGER, 9),
      copy(grant(2, 106), own, 4),
      transitive(3, DOMID_SELF, 9),
      copy(grant(2, 106), own, 4),
      transitive(0, inner, 102),
    );
  }
  for (const command of [13, 14, 99, 0x1005]) script.push({ op: 'grantCommand', command, count: 1 });
  for (const domain of [0, 1, 2, 3, STRANGER]) script.push({ op: 'version', domain });
  for (const domain of [1, 2, 3, STRANGER])
    script.push(
      { op: 'size', domain },
      { op: 'statusFrames', domain, count: 0 },
      { op: 'statusFrames', domain, count: 1 },
      { op: 'statusFrames', domain, count: 2 },
    );
  return script;
}

/** All scripts, in the order they are run on one machine: more than 2000 operations. */
export function differentialScripts(): readonly {
  readonly name: string;
  readonly script: readonly ScriptOperation[];
  /** Before XSA-523 real Xen copies what the simulation refuses, on purpose. */
  readonly refusesForeignFrames?: true;
}[] {
  return [
    { name: 'vectors of the specification', script: vectorScript() },
    { name: 'event channels at random', script: randomEventScript(7, 300) },
    { name: 'grants at random, seed 1', script: randomScript(1, 1000) },
    { name: 'grants at random, seed 2', script: randomScript(2, 1000) },
    { name: 'own table: versions, swaps, host mappings', script: ownTableVectors() },
    { name: 'own table at random, seed 3', script: ownTableScript(3, 600) },
    { name: 'own table at random, seed 4', script: ownTableScript(4, 600) },
    { name: 'frames in place of references', script: bareFrameScript(), refusesForeignFrames: true },
  ];
}
