/**
 * Grant-table operations in the plainest form: one lock per table, every element on its own. They carry the machine
 * until the complete ones of `grant-table` take their place.
 */
import type { GrantTableHost } from '@netchannel2/grant-table';
import { DOMID_SELF, GrantStatus } from '@netchannel2/xen';
import { EINVAL, ENOMEM, ENOSYS } from '../domains/errors';
import { lock, unlock } from '../machine/lock';
import type { GrantOperations } from './grant-operations';

/** Words of the table's block. */
export const Table = {
  version: 0,
  entries: 1,
  frames: 2,
  /** Word index of a page: shared frames, active records, status frames, 256 words each. */
  lists: 4,
  maximumFrames: 8,
  maximumVersion: 10,
  lock: 16,
  maptrack: 32,
  maptrackLimit: 33,
  maptrackMaximum: 34,
  mappings: 36,
  active: 37,
  maps: 48,
  unmaps: 50,
  copies: 52,
  bytesCopiedBy: 54,
  elements: 56,
  hypercalls: 58,
  bytesCopiedFor: 80,
} as const;

const ACTIVE_LIST = 256;
const STATUS_LIST = 512;
const MAXIMUM_FRAMES = 256;
const ACTIVE_WORDS = 4;
const TRACK_WORDS = 4;
const PIN = 0;
const GRANTEE = 1;
const FRAME = 2;
const RANGE = 3;
const SUB_PAGE = 1 << 16;
const RESERVED_ENTRIES = 8;
const PAGE_WORDS = 1024;
const READ_PIN = 0x100;
const READING = 0x8;
const WRITING = 0x10;

/** One side of a copy or a map, once acquired. */
class Acquired {
  table = 0;
  domid = 0;
  ref = -1;
  frame = -1;
  start = 0;
  end = 4096;
  inner: Acquired | undefined;
}

export class InterimGrantOperations implements GrantOperations {
  readonly #words: Int32Array;
  readonly #halfwords: Uint16Array;
  readonly #source = new Acquired();
  readonly #target = new Acquired();
  #heldDomid = -1;
  #heldTable = 0;
  #bytesBy = 0;
  #bytesFor = 0;

  constructor(
    private readonly host: GrantTableHost,
    private readonly transitive: boolean,
  ) {
    this.#words = host.words;
    this.#halfwords = host.halfwords;
    this.#source.inner = new Acquired();
    this.#target.inner = new Acquired();
  }

  createTable(domid: number, maxFrames: number, maxMaptrackFrames: number, maxVersion: number): boolean {
    const table = this.host.grantTableBlock(domid) >>> 2;
    const lists = this.host.allocateXenPages(1);
    const maptrack = this.host.allocateXenPages(1);
    if (lists === 0 || maptrack === 0) return false;
    const words = this.#words;
    words[table + Table.lists] = lists >>> 2;
    words[table + Table.maptrack] = maptrack >>> 2;
    words[table + Table.maximumFrames] = Math.min(maxFrames, MAXIMUM_FRAMES);
    words[table + Table.maptrackMaximum] = Math.min(maxMaptrackFrames, 1024);
    words[table + Table.maximumVersion] = maxVersion;
    words[table + Table.version] = 1;
    return this.#grow(table, domid, 1);
  }

  destroyTable(domid: number): void {
    const words = this.#words;
    const table = this.host.grantTableBlock(domid) >>> 2;
    const lists = words[table + Table.lists] as number;
    if (lists === 0) return;
    for (let index = 0; index < MAXIMUM_FRAMES; index++) {
      const shared = words[lists + index] as number;
      const active = words[lists + ACTIVE_LIST + index] as number;
      const status = words[lists + STATUS_LIST + index] as number;
      if (shared !== 0) this.host.freeXenPages(shared << 2, 1);
      if (active !== 0) this.host.freeXenPages(active << 2, 2);
      if (status !== 0) this.host.freeXenPages(status << 2, 1);
    }
    const maptrack = words[table + Table.maptrack] as number;
    for (let index = 0; index < 1024; index++) {
      const page = words[maptrack + index] as number;
      if (page !== 0) this.host.freeXenPages(page << 2, 1);
    }
    this.host.freeXenPages(lists << 2, 1);
    this.host.freeXenPages(maptrack << 2, 1);
    words.fill(0, table, table + 128);
  }

  releaseMappings(domid: number): void {
    const words = this.#words;
    const table = this.host.grantTableBlock(domid) >>> 2;
    for (let handle = (words[table + Table.maptrackLimit] as number) - 1; handle >= 0; handle--) {
      const track = this.#track(table, handle);
      if (words[track + 2] !== 0) this.#endMapping(table, track);
    }
  }

  waitForCopies(domid: number): void {
    const table = this.host.grantTableBlock(domid) >>> 2;
    if (table === 0) return;
    lock(this.#words, table + Table.lock);
    unlock(this.#words, table + Table.lock);
  }

  execute(caller: number, command: number, address: number, count: number): number {
    const words = this.#words;
    const own = this.host.grantTableBlock(caller) >>> 2;
    if (count < 0) return EINVAL;
    words[own + Table.hypercalls] = (words[own + Table.hypercalls] as number) + 1;
    words[own + Table.elements] = (words[own + Table.elements] as number) + count;
    switch (command) {
      case 0:
        for (let index = 0; index < count; index++) this.#map(caller, own, (address >>> 2) + index * 8);
        return 0;
      case 1:
        for (let index = 0; index < count; index++) this.#unmap(caller, own, (address >>> 2) + index * 6);
        return 0;
      case 5:
        words[own + Table.copies] = (words[own + Table.copies] as number) + count;
        this.#copyAll(caller, own, address >>> 2, count);
        return 0;
      default:
        return ENOSYS;
    }
  }

  /** The guest kernel's part of setting up, without its structures. */
  setVersion(domid: number, version: 1 | 2): number {
    const words = this.#words;
    const table = this.host.grantTableBlock(domid) >>> 2;
    if (version === 2 && words[table + Table.maximumVersion] === 1) return ENOSYS;
    this.#convertReserved(table, version);
    words[table + Table.version] = version;
    const frames = words[table + Table.frames] as number;
    words[table + Table.entries] = 0;
    words[table + Table.frames] = 0;
    return this.#grow(table, domid, frames) ? 0 : ENOMEM;
  }

  /** The reserved entries, full pages by now, survive a change of version. */
  #convertReserved(table: number, version: 1 | 2): void {
    const words = this.#words;
    if (words[table + Table.version] === version) return;
    const first = words[words[table + Table.lists] as number] as number;
    const from = version === 2 ? 2 : 4;
    const entries = Array.from({ length: RESERVED_ENTRIES }, (_, ref) => ({
      header: words[first + ref * from] as number,
      frame: words[first + ref * from + (version === 2 ? 1 : 2)] as number,
    }));
    words.fill(0, first, first + PAGE_WORDS);
    for (const [ref, { header, frame }] of entries.entries()) {
      const entry = first + ref * (version === 2 ? 4 : 2);
      words[entry] = header;
      words[entry + (version === 2 ? 2 : 1)] = frame;
    }
  }

  setupTable(domid: number, frames: number): boolean {
    const table = this.host.grantTableBlock(domid) >>> 2;
    return frames <= (this.#words[table + Table.maximumFrames] as number) && this.#grow(table, domid, frames);
  }

  #grow(table: number, domid: number, frames: number): boolean {
    const words = this.#words;
    const lists = words[table + Table.lists] as number;
    const version = words[table + Table.version] as number;
    for (let index = words[table + Table.frames] as number; index < frames; index++) {
      if (words[lists + index] === 0) {
        const shared = this.host.allocateXenPages(1);
        const active = this.host.allocateXenPages(2);
        if (shared === 0 || active === 0) return false;
        words[lists + index] = shared >>> 2;
        words[lists + ACTIVE_LIST + index] = active >>> 2;
        this.host.sharePage(domid, shared >>> 12);
      }
      if (version === 2 && words[lists + STATUS_LIST + (index >>> 3)] === 0) {
        const status = this.host.allocateXenPages(1);
        if (status === 0) return false;
        words[lists + STATUS_LIST + (index >>> 3)] = status >>> 2;
      }
    }
    words[table + Table.frames] = Math.max(frames, words[table + Table.frames] as number);
    words[table + Table.entries] = (words[table + Table.frames] as number) * (version === 2 ? 256 : 512);
    return true;
  }

  #entry(table: number, ref: number): number {
    const lists = this.#words[table + Table.lists] as number;
    if (this.#words[table + Table.version] === 2) {
      return (this.#words[lists + (ref >>> 8)] as number) + (ref & 255) * 4;
    }
    return (this.#words[lists + (ref >>> 9)] as number) + (ref & 511) * 2;
  }

  #statusHalf(table: number, ref: number): number {
    const lists = this.#words[table + Table.lists] as number;
    return ((this.#words[lists + STATUS_LIST + (ref >>> 11)] as number) << 1) + (ref & 2047);
  }

  #activeRecord(table: number, ref: number): number {
    const lists = this.#words[table + Table.lists] as number;
    return (this.#words[lists + ACTIVE_LIST + (ref >>> 9)] as number) + (ref & 511) * ACTIVE_WORDS;
  }

  #track(table: number, handle: number): number {
    const pages = this.#words[table + Table.maptrack] as number;
    return (this.#words[pages + (handle >>> 8)] as number) + (handle & 255) * TRACK_WORDS;
  }

  /** Sets the in-use bits; the spec's §6.3. */
  #mark(table: number, ref: number, grantee: number, write: boolean, mask: number, pinned: boolean): number {
    const words = this.#words;
    const entry = this.#entry(table, ref);
    const version2 = words[table + Table.version] === 2;
    const bits = write ? READING | WRITING : READING;
    let header = Atomics.load(words, entry);
    for (let attempt = 0; attempt < 5; attempt++) {
      const flags = header & 0xffff;
      const type = flags & mask;
      const permitted =
        pinned || ((type === 1 || (version2 && mask === 3 && type === 3)) && header >>> 16 === grantee);
      if (!permitted || (write && (flags & 4) !== 0)) return GrantStatus.generalError;
      if (!version2) {
        const found = Atomics.compareExchange(words, entry, header, header | bits);
        if (found === header) return GrantStatus.okay;
        header = found;
        continue;
      }
      const half = this.#statusHalf(table, ref);
      Atomics.or(this.#halfwords, half, bits);
      const again = Atomics.load(words, entry);
      if (again === header || pinned) return GrantStatus.okay;
      Atomics.and(this.#halfwords, half, ~(pinned ? WRITING : bits) & 0xffff);
      header = again;
    }
    return GrantStatus.generalError;
  }

  #unmark(table: number, ref: number, pin: number): void {
    const keep = pin === 0 ? 0 : (pin & 0xff) === 0 ? READING : READING | WRITING;
    const clear = ~((READING | WRITING) & ~keep);
    if (this.#words[table + Table.version] === 2) {
      Atomics.and(this.#halfwords, this.#statusHalf(table, ref), clear & 0xffff);
    } else {
      Atomics.and(this.#words, this.#entry(table, ref), clear);
    }
  }

  /** Pins an entry for one use and says where its bytes are. */
  #acquire(
    domid: number,
    ref: number,
    grantee: number,
    write: boolean,
    copy: boolean,
    into: Acquired,
  ): number {
    const words = this.#words;
    const table = this.host.grantTableBlock(domid) >>> 2;
    into.ref = -1;
    if (table === 0 || words[table + Table.version] === 0) return GrantStatus.badDomain;
    lock(words, table + Table.lock);
    const status = this.#acquireLocked(table, domid, ref, grantee, write, copy, into);
    unlock(words, table + Table.lock);
    if (status !== 1) return status;
    return this.#acquireThrough(table, domid, ref, grantee, write, into);
  }

  /** A status, or 1 for a transitive entry, whose bits are set. */
  #acquireLocked(
    table: number,
    domid: number,
    ref: number,
    grantee: number,
    write: boolean,
    copy: boolean,
    into: Acquired,
  ): number {
    const words = this.#words;
    if (ref >>> 0 >= (words[table + Table.entries] as number)) return GrantStatus.badGrantRef;
    const active = this.#activeRecord(table, ref);
    const pin = words[active + PIN] as number;
    const record = words[active + GRANTEE] as number;
    const increment = write ? 1 : READ_PIN;
    const full = ((write ? pin : pin >>> 8) & 0x80) !== 0;
    if (pin !== 0 && ((record & 0xffff) !== grantee || full || (!copy && (record & SUB_PAGE) !== 0))) {
      return GrantStatus.generalError;
    }
    const entry = this.#entry(table, ref);
    const version2 = words[table + Table.version] === 2;
    into.table = table;
    into.domid = domid;
    if (pin === 0 || (write && (pin & 0xff) === 0)) {
      const marked = this.#mark(table, ref, grantee, write, copy ? 3 : 0x103, pin !== 0);
      if (marked !== GrantStatus.okay) {
        if (pin !== 0 || version2) this.#unmark(table, ref, pin);
        return marked;
      }
      const header = Atomics.load(words, entry);
      if (version2 && copy && (header & 3) === 3 && pin === 0) {
        words[active + PIN] = increment;
        words[active + GRANTEE] = grantee | SUB_PAGE;
        into.ref = ref;
        return 1;
      }
      if (pin === 0) {
        const subPage = version2 && (header & 0x100) !== 0;
        const guestFrame = (version2 ? (words[entry + 2] as number) : (words[entry + 1] as number)) >>> 0;
        const high = version2 ? (words[entry + 3] as number) : 0;
        const frame = high === 0 ? this.host.machineFrame(domid, guestFrame, write) : -1;
        if (frame < 0) {
          this.#unmark(table, ref, 0);
          return frame === -2 ? GrantStatus.again : GrantStatus.badPage;
        }
        words[active + GRANTEE] = grantee | (subPage ? SUB_PAGE : 0);
        words[active + FRAME] = frame;
        words[active + RANGE] = subPage ? (words[entry + 1] as number) : 0;
      }
    }
    if (pin === 0) Atomics.add(words, table + Table.active, 1);
    words[active + PIN] = pin + increment;
    into.ref = ref;
    into.frame = words[active + FRAME] as number;
    const subPage = ((words[active + GRANTEE] as number) & SUB_PAGE) !== 0;
    const range = words[active + RANGE] as number;
    into.start = subPage ? range & 0x7fff : 0;
    into.end = subPage ? into.start + (range >>> 16) : 4096;
    return GrantStatus.okay;
  }

  #acquireThrough(
    table: number,
    domid: number,
    ref: number,
    _grantee: number,
    write: boolean,
    into: Acquired,
  ): number {
    const words = this.#words;
    const entry = this.#entry(table, ref);
    const { inner } = into;
    Atomics.add(words, table + Table.active, 1);
    const owner = (words[entry + 1] as number) & 0xffff;
    const ownerRef = words[entry + 2] as number;
    let status: number = GrantStatus.generalError;
    if (this.transitive && inner !== undefined && owner !== domid && this.host.grantTableBlock(owner) !== 0) {
      status = this.#acquire(owner, ownerRef, domid, write, true, inner);
    }
    if (status !== GrantStatus.okay || inner === undefined) {
      this.#release(into, write);
      return status;
    }
    into.frame = inner.frame;
    into.start = inner.start;
    into.end = inner.end;
    return GrantStatus.okay;
  }

  #release(acquired: Acquired, write: boolean): void {
    const words = this.#words;
    const { table, ref } = acquired;
    lock(words, table + Table.lock);
    const active = this.#activeRecord(table, ref);
    const pin = (words[active + PIN] as number) - (write ? 1 : READ_PIN);
    words[active + PIN] = pin;
    if (pin === 0) Atomics.sub(words, table + Table.active, 1);
    this.#unmark(table, ref, pin);
    unlock(words, table + Table.lock);
    acquired.ref = -1;
    const { inner } = acquired;
    if (inner !== undefined && inner.ref >= 0) this.#release(inner, write);
  }

  #map(caller: number, own: number, element: number): void {
    const words = this.#words;
    const flags = words[element + 2] as number;
    const domid = (words[element + 4] as number) & 0xffff;
    const ref = words[element + 3] as number;
    const write = (flags & 4) === 0;
    const status = this.#mapElement(caller, own, element, flags, domid, ref, write);
    words[element + 4] = domid | (status << 16);
    words[own + Table.maps] = (words[own + Table.maps] as number) + 1;
  }

  #mapElement(
    caller: number,
    own: number,
    element: number,
    flags: number,
    domid: number,
    ref: number,
    write: boolean,
  ): number {
    const words = this.#words;
    if ((flags & 2) === 0) return GrantStatus.badGrantRef;
    if (this.host.grantTableBlock(domid) === 0) return GrantStatus.badDomain;
    const handle = this.#freeHandle(own);
    if (handle < 0) return GrantStatus.noSpace;
    const side = this.#source;
    const status = this.#acquire(domid, ref, caller, write, false, side);
    if (status !== GrantStatus.okay) return status;
    const { frame } = side;
    const hostAddress = (words[element] as number) >>> 0;
    if (!this.host.acquirePage(frame, domid, write)) {
      this.#release(side, write);
      return GrantStatus.generalError;
    }
    const entered = this.host.mapHostAddress(caller, hostAddress, frame, flags);
    if (entered !== GrantStatus.okay) {
      this.host.releasePage(frame, write);
      this.#release(side, write);
      return entered;
    }
    const track = this.#track(own, handle);
    words[track] = domid;
    words[track + 1] = ref;
    words[track + 3] = frame;
    words[track + 2] = flags | 0x8000_0000;
    Atomics.add(words, own + Table.mappings, 1);
    words[element + 5] = handle;
    words[element + 6] = frame << 12;
    words[element + 7] = 0;
    return GrantStatus.okay;
  }

  #freeHandle(own: number): number {
    const words = this.#words;
    const limit = words[own + Table.maptrackLimit] as number;
    for (let handle = 0; handle < limit; handle++) {
      if (words[this.#track(own, handle) + 2] === 0) return handle;
    }
    if (limit >>> 8 >= (words[own + Table.maptrackMaximum] as number)) return -1;
    const page = this.host.allocateXenPages(1);
    if (page === 0) return -1;
    words[(words[own + Table.maptrack] as number) + (limit >>> 8)] = page >>> 2;
    words[own + Table.maptrackLimit] = limit + 256;
    return limit;
  }

  #unmap(caller: number, own: number, element: number): void {
    const words = this.#words;
    const handle = words[element + 4] as number;
    words[own + Table.unmaps] = (words[own + Table.unmaps] as number) + 1;
    let status: number = GrantStatus.badHandle;
    if (handle >>> 0 < (words[own + Table.maptrackLimit] as number)) {
      const track = this.#track(own, handle);
      if (words[track + 2] !== 0) {
        const hostAddress = (words[element] as number) >>> 0;
        const frame = words[track + 3] as number;
        status = hostAddress === 0 ? 0 : this.host.unmapHostAddress(caller, hostAddress, frame, 0);
        if (status === GrantStatus.okay && hostAddress !== 0) this.#endMapping(own, track);
      }
    }
    words[element + 5] = status & 0xffff;
  }

  #endMapping(own: number, track: number): void {
    const words = this.#words;
    const write = ((words[track + 2] as number) & 4) === 0;
    const frame = words[track + 3] as number;
    const side = this.#source;
    side.table = this.host.grantTableBlock(words[track] as number) >>> 2;
    side.ref = words[track + 1] as number;
    words[track + 2] = 0;
    Atomics.sub(words, own + Table.mappings, 1);
    this.#release(side, write);
    this.host.releasePage(frame, write);
  }

  /** Elements between the caller's own pages and idle grants of one domain share that table's lock. */
  #copyAll(caller: number, own: number, first: number, count: number): void {
    const words = this.#words;
    const end = first + count * 10;
    for (let element = first; element < end; element += 10) {
      if (this.#copyPlain(caller, element)) {
        words[element + 9] = GrantStatus.okay;
        continue;
      }
      this.#letGo();
      this.#copy(caller, own, element);
    }
    this.#letGo();
    add64(words, own + Table.bytesCopiedBy, this.#bytesBy);
    this.#bytesBy = 0;
  }

  /**
   * The usual element: one side granted, its entry used by nobody else and not transitive, and nothing wrong with it.
   * False, nothing done, for every other.
   */
  #copyPlain(caller: number, element: number): boolean {
    const words = this.#words;
    const lengthFlags = words[element + 8] as number;
    const length = lengthFlags & 0xffff;
    const direction = lengthFlags >>> 16;
    if (length === 0 || (direction !== 1 && direction !== 2)) return false;
    const write = direction === 2;
    const grantedAt = write ? element + 4 : element;
    const localAt = write ? element : element + 4;
    const ref = words[grantedAt] as number;
    const grantedWord = words[grantedAt + 2] as number;
    const localWord = words[localAt + 2] as number;
    const offset = grantedWord >>> 16;
    const localOffset = localWord >>> 16;
    if ((localWord & 0xffff) !== DOMID_SELF || offset + length > 4096 || localOffset + length > 4096)
      return false;
    const domid = grantedWord & 0xffff;
    if (domid === caller || (domid !== this.#heldDomid && !this.#hold(domid))) return false;
    const table = this.#heldTable;
    if (ref >>> 0 >= (words[table + Table.entries] as number)) return false;
    const lists = words[table + Table.lists] as number;
    const active = (words[lists + ACTIVE_LIST + (ref >>> 9)] as number) + (ref & 511) * ACTIVE_WORDS;
    if (words[active + PIN] !== 0) return false;
    const local = this.host.machineFrame(caller, (words[localAt] as number) >>> 0, !write);
    if (local < 0) return false;
    const version2 = words[table + Table.version] === 2;
    const entry = version2
      ? (words[lists + (ref >>> 8)] as number) + (ref & 255) * 4
      : (words[lists + (ref >>> 9)] as number) + (ref & 511) * 2;
    const header = Atomics.load(words, entry);
    if ((header & 3) !== 1 || header >>> 16 !== caller || (write && (header & 4) !== 0)) return false;
    const bits = write ? READING | WRITING : READING;
    let half = 0;
    if (version2) {
      half = ((words[lists + STATUS_LIST + (ref >>> 11)] as number) << 1) + (ref & 2047);
      Atomics.or(this.#halfwords, half, bits);
      if (Atomics.load(words, entry) !== header) {
        Atomics.and(this.#halfwords, half, ~bits & 0xffff);
        return false;
      }
    } else if (Atomics.compareExchange(words, entry, header, header | bits) !== header) {
      return false;
    }
    const done = this.#moveBytes(domid, entry, header, version2, write, offset, local, localOffset, length);
    if (version2) Atomics.and(this.#halfwords, half, ~bits & 0xffff);
    else Atomics.and(words, entry, ~bits);
    return done;
  }

  #moveBytes(
    domid: number,
    entry: number,
    header: number,
    version2: boolean,
    write: boolean,
    offset: number,
    local: number,
    localOffset: number,
    length: number,
  ): boolean {
    const words = this.#words;
    if (version2) {
      if (words[entry + 3] !== 0) return false;
      if ((header & 0x100) !== 0) {
        const range = words[entry + 1] as number;
        const start = range & 0x7fff;
        if (offset < start || offset + length > start + (range >>> 16)) return false;
      }
    }
    const guestFrame = (version2 ? (words[entry + 2] as number) : (words[entry + 1] as number)) >>> 0;
    const frame = this.host.machineFrame(domid, guestFrame, write);
    if (frame < 0) return false;
    const granted = (frame << 12) + offset;
    const own = (local << 12) + localOffset;
    this.host.copy(write ? granted : own, write ? own : granted, length);
    this.#bytesBy += length;
    this.#bytesFor += length;
    return true;
  }

  /** Takes the lock of a domain's table, in place of the one held before. */
  #hold(domid: number): boolean {
    this.#letGo();
    const table = this.host.grantTableBlock(domid) >>> 2;
    if (table === 0 || this.#words[table + Table.version] === 0) return false;
    lock(this.#words, table + Table.lock);
    this.#heldDomid = domid;
    this.#heldTable = table;
    return true;
  }

  #letGo(): void {
    const table = this.#heldTable;
    if (table === 0) return;
    add64(this.#words, table + Table.bytesCopiedFor, this.#bytesFor);
    unlock(this.#words, table + Table.lock);
    this.#bytesFor = 0;
    this.#heldDomid = -1;
    this.#heldTable = 0;
  }

  #copy(caller: number, own: number, element: number): void {
    const words = this.#words;
    const source = this.#source;
    const target = this.#target;
    source.ref = -1;
    target.ref = -1;
    const status = this.#copyElement(caller, own, element);
    if (source.ref >= 0) this.#release(source, false);
    if (target.ref >= 0) this.#release(target, true);
    words[element + 9] = status & 0xffff;
  }

  #copyElement(caller: number, own: number, element: number): number {
    const words = this.#words;
    const lengthFlags = words[element + 8] as number;
    const length = lengthFlags & 0xffff;
    if (length === 0) return GrantStatus.okay;
    const fromGrant = (lengthFlags & 0x1_0000) !== 0;
    const toGrant = (lengthFlags & 0x2_0000) !== 0;
    const sourceWord = words[element + 2] as number;
    const targetWord = words[element + 6] as number;
    const source = this.#side(
      caller,
      words[element] as number,
      sourceWord & 0xffff,
      fromGrant,
      false,
      this.#source,
    );
    if (source !== GrantStatus.okay) return source;
    const target = this.#side(
      caller,
      words[element + 4] as number,
      targetWord & 0xffff,
      toGrant,
      true,
      this.#target,
    );
    if (target !== GrantStatus.okay) return target;
    const from = sourceWord >>> 16;
    const to = targetWord >>> 16;
    if (from + length > 4096 || to + length > 4096) return GrantStatus.badCopyArgument;
    if (from < this.#source.start || from + length > this.#source.end) return GrantStatus.generalError;
    if (to < this.#target.start || to + length > this.#target.end) return GrantStatus.generalError;
    this.host.copy((this.#target.frame << 12) + to, (this.#source.frame << 12) + from, length);
    add64(words, own + Table.bytesCopiedBy, length);
    this.#countFor(caller, this.#source.frame, length);
    this.#countFor(caller, this.#target.frame, length);
    return GrantStatus.okay;
  }

  #countFor(caller: number, frame: number, length: number): void {
    const owner = this.host.pageOwner(frame);
    if (owner === caller) return;
    const table = this.host.grantTableBlock(owner) >>> 2;
    if (table !== 0) add64(this.#words, table + Table.bytesCopiedFor, length);
  }

  #side(
    caller: number,
    name: number,
    domid: number,
    granted: boolean,
    write: boolean,
    side: Acquired,
  ): number {
    if (granted) {
      const owner = domid === DOMID_SELF ? caller : domid;
      return this.#acquire(owner, name, caller, write, true, side);
    }
    if (domid !== DOMID_SELF) return GrantStatus.permissionDenied;
    side.frame = this.host.machineFrame(caller, name >>> 0, write);
    side.start = 0;
    side.end = 4096;
    return side.frame < 0 ? GrantStatus.badPage : GrantStatus.okay;
  }
}

function add64(words: Int32Array, index: number, amount: number): void {
  const before = Atomics.add(words, index, amount) >>> 0;
  if (before + amount > 0xffff_ffff) Atomics.add(words, index + 1, 1);
}

export function read64(words: Int32Array, index: number): number {
  return ((words[index + 1] as number) >>> 0) * 0x1_0000_0000 + ((words[index] as number) >>> 0);
}
