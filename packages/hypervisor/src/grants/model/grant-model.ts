/**
 * Grant tables as the specification tells them, without memory, locks or bits to race for: what the implementation is
 * compared with. Written from spec grant-tables.md §6 and §7, not from the code.
 */

/** A shared entry's four words (version 1 uses two) and its status. */
interface Entry {
  header: number;
  word1: number;
  word2: number;
  word3: number;
  status: number;
}

/** Xen's record of a grant in use. */
interface Use {
  readers: number;
  writers: number;
  grantee: number;
  source: number;
  sourceRef: number;
  frame: number;
  start: number;
  length: number;
  subPage: boolean;
}

interface Mapping {
  readonly granter: number;
  readonly ref: number;
  readonly readonly: boolean;
  readonly frame: number;
}

/** A page pinned for a copy, and what undoes it. */
interface Claim {
  readonly frame: number;
  readonly start: number;
  readonly length: number;
  release(): void;
}

export interface ModelSide {
  readonly dom: number;
  readonly ref?: number;
  readonly frame?: number;
  readonly offset: number;
}

const SELF = 0x7ff0;
const PIN_LIMIT = 128;

class ModelTable {
  version: 1 | 2 = 1;
  readonly entries = new Map<number, Entry>();
  readonly uses = new Map<number, Use>();
  readonly mappings = new Map<number, Mapping>();
  free: number[] = [];
  handles = 0;

  entry(ref: number): Entry {
    const found = this.entries.get(ref);
    if (found !== undefined) return found;
    const entry: Entry = { header: 0, word1: 0, word2: 0, word3: 0, status: 0 };
    this.entries.set(ref, entry);
    return entry;
  }

  has(ref: number): boolean {
    return ref < (this.version === 1 ? 512 : 256);
  }
}

export class GrantModel {
  readonly tables = new Map<number, ModelTable>();

  /** @param resolve machine frame of a domain's own guest frame, or -1. */
  constructor(
    domids: readonly number[],
    private readonly resolve: (domid: number, guestFrame: number) => number,
    private readonly maptrackFrames: number,
  ) {
    for (const domid of domids) this.tables.set(domid, new ModelTable());
  }

  table(domid: number): ModelTable {
    const table = this.tables.get(domid);
    if (table === undefined) throw new Error(`no table ${domid}`);
    return table;
  }

  /** In-use bits as the guest sees them. */
  inUse(domid: number, ref: number): number {
    const { version } = this.table(domid);
    const { header, status } = this.table(domid).entry(ref);
    return (version === 1 ? header : status) & 0x18;
  }

  pin(domid: number, ref: number): number {
    const use = this.table(domid).uses.get(ref);
    return use === undefined ? 0 : use.writers + use.readers * 256;
  }

  map(caller: number, granter: number, ref: number, readonly: boolean): number {
    const own = this.table(caller);
    if (!this.tables.has(granter)) return -2;
    const handle = this.#takeHandle(own);
    if (handle < 0) return -13;
    const status = this.#pinForMap(caller, granter, ref, readonly);
    if (status < 0) {
      own.free.push(handle);
      return status;
    }
    own.mappings.set(handle, { granter, ref, readonly, frame: status });
    return 0;
  }

  /** The handle of the caller's youngest mapping. */
  lastHandle(caller: number): number {
    return [...this.table(caller).mappings.keys()].pop() ?? -1;
  }

  unmap(caller: number, handle: number): number {
    const own = this.table(caller);
    const mapping = own.mappings.get(handle);
    if (mapping === undefined) return -4;
    own.mappings.delete(handle);
    own.free.push(handle);
    this.#drop(mapping.granter, mapping.ref, !mapping.readonly);
    return 0;
  }

  /** The status, and where bytes go if it is 0. */
  copy(
    caller: number,
    source: ModelSide,
    dest: ModelSide,
    length: number,
  ): { status: number; from: number; to: number } {
    const nowhere = (status: number) => ({ status, from: -1, to: -1 });
    if (length === 0) return nowhere(0);
    for (const { dom } of [source, dest]) {
      if (dom !== SELF && !this.tables.has(dom)) return nowhere(-2);
    }
    const from = this.#claim(caller, source, false);
    if (typeof from === 'number') return nowhere(from);
    const to = this.#claim(caller, dest, true);
    if (typeof to === 'number') {
      from.release();
      return nowhere(to);
    }
    let status = 0;
    if (source.offset + length > 4096 || dest.offset + length > 4096) status = -10;
    else if (!inside(from, source.offset, length) || !inside(to, dest.offset, length)) status = -1;
    to.release();
    from.release();
    return { status, from: from.frame * 4096 + source.offset, to: to.frame * 4096 + dest.offset };
  }

  setVersion(domid: number, version: number): number {
    const table = this.table(domid);
    if (version !== 1 && version !== 2) return -22;
    if (table.version === version) return 0;
    if ([...table.uses.keys()].some((ref) => ref >= 8)) return -16;
    const reserved = [...table.entries].filter(([ref]) => ref < 8);
    if (version === 1) {
      const lost = ([, { header, word3 }]: [number, Entry]) =>
        (header & 3) === 3 || ((header & 3) === 1 && word3 !== 0);
      if (reserved.some(lost)) return -34;
    }
    table.entries.clear();
    for (const [ref, { header, word1, word2, status }] of reserved) {
      const entry = table.entry(ref);
      if (version === 2) {
        Object.assign(entry, { header: header & ~0x18, word2: word1, status: header & 0x18 });
      } else if ((header & 3) === 1) {
        Object.assign(entry, { header: header | status, word1: word2 });
      }
    }
    table.version = version;
    return 0;
  }

  swap(domid: number, refA: number, refB: number): number {
    const table = this.table(domid);
    if (!table.has(refA) || !table.has(refB)) return -3;
    if (refA === refB) return 0;
    if (table.uses.has(refA) || table.uses.has(refB)) return -12;
    const entryA = table.entry(refA);
    table.entries.set(refA, table.entry(refB));
    table.entries.set(refB, entryA);
    return 0;
  }

  #takeHandle(own: ModelTable): number {
    const [first] = own.free;
    if (first !== undefined && own.free.length > 1) {
      own.free.shift();
      return first;
    }
    if (own.handles >= this.maptrackFrames * 256) return -1;
    const base = own.handles;
    own.handles += 256;
    own.free.unshift(...Array.from({ length: 255 }, (_, index) => base + 1 + index));
    return base;
  }

  /** The machine frame, or a status. */
  #pinForMap(caller: number, granter: number, ref: number, readonly: boolean): number {
    const table = this.table(granter);
    if (!table.has(ref)) return -3;
    const use = table.uses.get(ref);
    if (use !== undefined) {
      if (use.grantee !== caller || use.subPage) return -1;
      if ((readonly ? use.readers : use.writers) >= PIN_LIMIT) return -1;
    }
    if (use === undefined || (!readonly && use.writers === 0)) {
      if (!this.#allowed(table, ref, use !== undefined, caller, !readonly, true)) return -1;
      if (use === undefined) {
        const frame = this.resolve(granter, this.#namedFrame(table, ref));
        if (frame < 0) return -9;
        table.uses.set(ref, {
          ...{ readers: 0, writers: 0, grantee: caller, source: granter, sourceRef: ref, frame },
          ...{ start: 0, length: 4096, subPage: false },
        });
      }
    }
    return this.#add(granter, ref, !readonly).frame;
  }

  /** §6.3: whether the shared entry lets this use begin. */
  #allowed(
    table: ModelTable,
    ref: number,
    pinned: boolean,
    caller: number,
    write: boolean,
    map: boolean,
  ): boolean {
    const { header } = table.entry(ref);
    const type = header & (map ? 0x103 : 3);
    const right = type === 1 || (!map && table.version === 2 && type === 3);
    if (!pinned && (!right || header >>> 16 !== caller)) return false;
    return !write || (header & 4) === 0;
  }

  #namedFrame(table: ModelTable, ref: number): number {
    const { word1, word2, word3 } = table.entry(ref);
    if (table.version === 1) return word1;
    return word3 === 0 ? word2 : -1;
  }

  #claim(caller: number, side: ModelSide, write: boolean): Claim | number {
    const owner = side.dom === SELF ? caller : side.dom;
    if (side.ref === undefined) {
      if (side.dom !== SELF) return -8;
      const frame = this.resolve(owner, side.frame ?? -1);
      return frame < 0 ? -9 : { frame, start: 0, length: 4096, release: () => {} };
    }
    return this.#acquire(owner, side.ref, caller, write, true);
  }

  /** §7.5 and §7.6. */
  #acquire(granter: number, ref: number, grantee: number, write: boolean, outer: boolean): Claim | number {
    const table = this.table(granter);
    if (!table.has(ref)) return -3;
    const use = table.uses.get(ref);
    if (use !== undefined) {
      if (use.grantee !== grantee || (write ? use.writers : use.readers) >= PIN_LIMIT) return -1;
    }
    const consult = use === undefined || (write && use.writers === 0);
    if (consult && !this.#allowed(table, ref, use !== undefined, grantee, write, false)) return -1;
    const entry = table.entry(ref);
    if (table.version === 2 && (entry.header & 3) === 3) {
      return outer ? this.#acquireThrough(granter, ref, grantee, write, entry, use) : -1;
    }
    if (consult) {
      const subPage = table.version === 2 && (entry.header & 0x100) !== 0;
      const offset = entry.word1 & 0xffff;
      const length = subPage ? entry.word1 >>> 16 : 4096;
      const frame = this.resolve(granter, this.#namedFrame(table, ref));
      if (frame < 0) return this.#refusedInUse(table, ref, use, -9);
      if (use === undefined) {
        const start = subPage ? offset & 0x7fff : 0;
        table.uses.set(ref, {
          ...{
            readers: 0,
            writers: 0,
            grantee,
            source: granter,
            sourceRef: ref,
            frame,
            start,
            length,
            subPage,
          },
        });
      } else {
        const moved = use.frame !== frame || use.source !== granter;
        if (moved || (use.subPage && !(subPage && use.start === offset && use.length === length)))
          return this.#refusedInUse(table, ref, use, -1);
      }
    }
    return this.#claimed(granter, ref, write, () => {});
  }

  /** Bits are set before the frame is looked at, and reduced to what the pins need when it will not do. */
  #refusedInUse(table: ModelTable, ref: number, use: Use | undefined, status: number): number {
    if (use !== undefined) this.#setBits(table, ref, 8, use.writers === 0 ? 0x10 : 0);
    return status;
  }

  #acquireThrough(
    granter: number,
    ref: number,
    grantee: number,
    write: boolean,
    entry: Entry,
    use: Use | undefined,
  ): Claim | number {
    const owner = entry.word1 & 0xffff;
    if (owner === granter || !this.tables.has(owner)) return -1;
    const inner = this.#acquire(owner, entry.word2 >>> 0, granter, write, false);
    if (typeof inner === 'number') return inner;
    if (use === undefined) {
      this.table(granter).uses.set(ref, {
        ...{ readers: 0, writers: 0, grantee, source: owner, sourceRef: entry.word2, frame: inner.frame },
        ...{ start: inner.start, length: inner.length, subPage: true },
      });
    } else if (
      !use.subPage ||
      use.source !== owner ||
      use.sourceRef !== entry.word2 ||
      use.frame !== inner.frame ||
      use.start !== inner.start ||
      use.length !== inner.length
    ) {
      inner.release();
      return -1;
    }
    return this.#claimed(granter, ref, write, () => inner.release());
  }

  #claimed(granter: number, ref: number, write: boolean, releaseInner: () => void): Claim {
    const { frame, start, length } = this.#add(granter, ref, write);
    const release = () => {
      this.#drop(granter, ref, write);
      releaseInner();
    };
    return { frame, start, length, release };
  }

  #add(granter: number, ref: number, write: boolean): Use {
    const table = this.table(granter);
    const use = table.uses.get(ref);
    if (use === undefined) throw new Error('the model lost a use');
    const first = use.readers + use.writers === 0;
    // Bits are set by a first use or a first write, and stay as they are for any other.
    if (first || (write && use.writers === 0)) this.#setBits(table, ref, write ? 0x18 : 8, 0);
    if (write) use.writers++;
    else use.readers++;
    return use;
  }

  #drop(granter: number, ref: number, write: boolean): void {
    const table = this.table(granter);
    const use = table.uses.get(ref);
    if (use === undefined) throw new Error('the model lost a use');
    if (write) use.writers--;
    else use.readers--;
    let clear = 0;
    if (use.readers + use.writers === 0) {
      table.uses.delete(ref);
      clear = 8;
    }
    if (write && use.writers === 0) clear |= 0x10;
    this.#setBits(table, ref, 0, clear);
  }

  #setBits(table: ModelTable, ref: number, set: number, clear: number): void {
    const entry = table.entry(ref);
    if (table.version === 1) entry.header = (entry.header | set) & ~clear;
    else entry.status = (entry.status | set) & ~clear;
  }
}

function inside({ start, length }: Claim, offset: number, count: number): boolean {
  return offset >= start && offset + count <= start + length;
}
