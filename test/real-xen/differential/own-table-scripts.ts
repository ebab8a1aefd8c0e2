import { SeededRandom } from '@netchannel2/testing';
import { type CopySide, MAPPING_SLOTS, type ScriptOperation } from './grant-script';

const FIRST_REF = 100;
const PLAIN_REFS = 5;
/** Only ever swapped with each other: an entry turned transitive while it is mapped keeps a copy waiting for ever. */
const TRANSITIVE_REFS = 2;
const BEYOND = 1 << 20;
const DOMID_SELF = 0x7ff0;
const DEVICE = 1;
const HOST = 2;
const READONLY = 4;
const APPLICATION = 8;
const CONTAINS_PTE = 0x10;

const entry = (ref: number, flags: number, page = 0, table = 0): ScriptOperation => ({
  op: 'entry',
  table,
  ref,
  flags,
  grantee: 0,
  page: { domain: table, page },
});
const map = (
  slot: number,
  domain: number,
  ref: number,
  flags: number,
  host?: 'nowhere',
): ScriptOperation => ({
  op: 'map',
  slot,
  domain,
  ref,
  flags,
  ...(host === undefined ? {} : { host }),
});
const unmap = (
  slot: number,
  address: 'right' | 'none' | 'wrong' = 'right',
  host?: 'none' | 'wrong',
): ScriptOperation => ({ op: 'unmap', slot, address, ...(host === undefined ? {} : { host }) });
const setVersion = (version: number): ScriptOperation => ({ op: 'setVersion', version });
const swap = (first: number, second: number): ScriptOperation => ({ op: 'swap', first, second });
const store = (slot: number, offset: number, value: number): ScriptOperation => ({
  op: 'store',
  slot,
  offset,
  value,
});
const copyOut = (domain: number, ref: number): ScriptOperation => ({
  op: 'copy',
  segments: [
    {
      source: { domain, ref, offset: 0 },
      target: { domain: DOMID_SELF, page: { domain: 0, page: 1 }, offset: 64 },
      length: 32,
    },
  ],
});

/** Versions, swaps (specification, tables V and W) and host mappings, as user space in dom0 can make them. */
export function ownTableVectors(): readonly ScriptOperation[] {
  const script: ScriptOperation[] = [];
  const [A, B] = [FIRST_REF, FIRST_REF + 1];
  // Host mappings of guests' grants: every combination of parts and access, stores, partial and wrong unmaps.
  for (const table of [1, 2]) {
    script.push(entry(A, 1, 0, table));
    for (const parts of [HOST, HOST | DEVICE, HOST | APPLICATION, HOST | DEVICE | APPLICATION]) {
      for (const access of [0, READONLY]) {
        script.push(
          map(0, table, A, parts | access),
          store(0, 7, parts + table),
          copyOut(table, A),
          unmap(0, 'none', 'none'),
          unmap(0, 'none', 'wrong'),
          unmap(0, 'wrong', 'none'),
          unmap(0, 'none'),
          unmap(0),
          unmap(0),
        );
      }
    }
    script.push(
      map(1, table, A, HOST | READONLY),
      map(2, table, A, HOST),
      map(3, table, A, DEVICE),
      entry(A, 5, 1, table),
      map(4, table, A, HOST | READONLY),
      map(5, table, A, HOST),
      unmap(2),
      map(5, table, A, HOST),
      unmap(5),
      unmap(3),
      map(5, table, A, HOST),
      map(6, table, A, HOST | READONLY),
      unmap(1),
      unmap(4),
      unmap(6),
      map(1, table, A, HOST, 'nowhere'),
      map(1, table, A, HOST | DEVICE | READONLY, 'nowhere'),
      map(1, table, A, HOST | CONTAINS_PTE | READONLY, 'nowhere'),
      map(1, table, BEYOND, HOST),
      entry(A, 0, 0, table),
      map(1, table, A, HOST),
    );
  }
  for (const version of [0, 3, 1, 0xffff_ffff])
    script.push(setVersion(version), { op: 'version', domain: DOMID_SELF });
  for (const version of [1, 2]) {
    script.push(setVersion(version), { op: 'version', domain: DOMID_SELF }, { op: 'version', domain: 0 });
    // An entry in use keeps the version; a valid one that is not in use is lost.
    script.push(
      entry(A, 1),
      map(0, 0, A, DEVICE | READONLY),
      setVersion(3 - version),
      map(1, DOMID_SELF, A, DEVICE),
      unmap(0),
      setVersion(version),
      map(0, 0, A, HOST),
      setVersion(3 - version),
      store(0, 9, 0x40 + version),
      copyOut(0, A),
      copyOut(DOMID_SELF, A),
      unmap(0),
    );
    script.push(
      entry(A, 1, 0),
      entry(B, 5, 1),
      swap(A, B),
      swap(A, A),
      swap(A, BEYOND),
      swap(BEYOND, A),
      map(0, 0, A, DEVICE),
      map(0, 0, A, DEVICE | READONLY),
      swap(A, B),
      swap(B, A),
      swap(A, A),
      unmap(0),
      swap(A, B),
      map(0, 0, A, HOST | DEVICE),
      unmap(0),
    );
    script.push(entry(A, 1), setVersion(3 - version), map(0, 0, A, DEVICE), { op: 'version', domain: 0 });
  }
  script.push(
    setVersion(2),
    { op: 'statusFrames', domain: DOMID_SELF, count: 0 },
    { op: 'statusFrames', domain: DOMID_SELF, count: 1 },
    setVersion(1),
    { op: 'statusFrames', domain: DOMID_SELF, count: 1 },
    { op: 'version', domain: DOMID_SELF },
  );
  return script;
}

/** A long random sequence on dom0's own table, whose version and entries change places under what is mapped. */
export function ownTableScript(seed: number, length: number): readonly ScriptOperation[] {
  const random = new SeededRandom(seed);
  const pick = <Item>(items: readonly Item[]): Item => items[random.integer(0, items.length - 1)] as Item;
  const plainRef = (): number => FIRST_REF + random.integer(0, PLAIN_REFS - 1);
  const transitiveRef = (): number => FIRST_REF + PLAIN_REFS + random.integer(0, TRANSITIVE_REFS - 1);
  const anyRef = (): number => (random.integer(0, 9) < 8 ? plainRef() : transitiveRef());
  const own = (): number => pick([0, 0, 0, DOMID_SELF]);
  const slot = (): number => random.integer(0, 7);
  const side = (): CopySide =>
    random.integer(0, 99) < 70
      ? { domain: own(), ref: anyRef(), offset: pick([0, 5, 100, 4000]) }
      : { domain: DOMID_SELF, page: { domain: 0, page: random.integer(0, 1) }, offset: pick([0, 9, 4090]) };
  let version = 1;
  const next = (): ScriptOperation => {
    const kind = random.integer(0, 99);
    if (kind < 22) {
      if (version === 2 && random.integer(0, 3) === 0) {
        return {
          ...entry(transitiveRef(), pick([3, 7, 0])),
          extra: { owner: 0, ref: plainRef() },
        } as ScriptOperation;
      }
      return entry(plainRef(), pick([1, 1, 1, 5, 0, 2]), random.integer(0, 1));
    }
    if (kind < 25) return { op: 'flags', table: 0, ref: plainRef(), flags: pick([0, 1, 5]) };
    if (kind < 48)
      return map(
        slot(),
        own(),
        anyRef(),
        pick([DEVICE, HOST, HOST | DEVICE, HOST | APPLICATION]) | pick([0, READONLY]),
      );
    if (kind < 68)
      return unmap(
        slot(),
        pick(['right', 'right', 'right', 'none', 'wrong']),
        pick([undefined, undefined, undefined, 'none', 'wrong'] as const),
      );
    if (kind < 72) return store(slot(), random.integer(0, 4095), random.integer(0, 255));
    if (kind < 84) {
      return {
        op: 'copy',
        segments: Array.from({ length: random.integer(1, 3) }, () => ({
          source: side(),
          target: side(),
          length: pick([0, 1, 6, 90, 96, 97, 4096]),
        })),
      };
    }
    if (kind < 93) {
      const ref = random.integer(0, 9) < 8 ? plainRef : transitiveRef;
      return swap(random.integer(0, 19) === 0 ? BEYOND : ref(), ref());
    }
    if (kind < 98) {
      const wanted = pick([1, 2, 2, 1, 0, 3]);
      if (wanted === 1 || wanted === 2) version = wanted;
      return setVersion(wanted);
    }
    return { op: 'version', domain: pick([0, DOMID_SELF]) };
  };
  return onlyFreeSlots(Array.from({ length }, next));
}

/** A slot that may hold a handle is not overwritten: such a map becomes an unmap of all of it. */
function onlyFreeSlots(script: readonly ScriptOperation[]): readonly ScriptOperation[] {
  const taken = new Set<number>();
  return script.map((operation) => {
    if (operation.op === 'unmap' && operation.address === 'right' && operation.host === undefined)
      taken.delete(operation.slot);
    if (operation.op !== 'map') return operation;
    const { slot } = operation;
    if (slot >= MAPPING_SLOTS) throw new RangeError(`no slot ${slot}`);
    if (taken.delete(slot)) return unmap(slot);
    taken.add(slot);
    return operation;
  });
}
