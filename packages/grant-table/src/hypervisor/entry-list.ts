/**
 * A table as a person looks at it: shared entries beside Xen's record of their use, as Xen's debug key `g` prints them.
 *
 * @packageDocumentation
 */
import { type GrantEntryFields, readEntryV1, readEntryV2 } from '../layout/entries';
import {
  ACTIVE_DOMID_SOURCE,
  ACTIVE_MACHINE_FRAME,
  ACTIVE_PIN,
  ACTIVE_RANGE,
  ACTIVE_TRANSITIVE_REF,
  activeEntry,
  RANGE_START_MASK,
  RANGE_SUB_PAGE,
} from './active-entry';
import { sharedEntry, statusWord } from './in-use-bits';
import { type GrantMachine, liveTable } from './machine';
import {
  ENTRIES,
  GRANT_FRAMES,
  MAPPINGS,
  MAPTRACK_LIMIT,
  MAX_GRANT_FRAMES,
  MAX_MAPTRACK_FRAMES,
  STATUS_FRAMES,
  TABLE_LOCK,
  VERSION,
} from './table-block';
import { readLock, readUnlock } from './table-lock';

/** What Xen recorded of a grant at its first use; valid while `GrantEntryRecord.pin` is not 0. */
export interface GrantUse {
  /** Counters of host-write, host-read, device-write and device-read uses, 8 bits each from the low end. */
  readonly pin: number;
  readonly domid: number;
  readonly machineFrame: number;
  /** Whose page it really is, and by which reference of theirs. */
  readonly sourceDomid: number;
  readonly sourceRef: number;
  readonly start: number;
  readonly length: number;
  readonly subPage: boolean;
}

/** One reference that holds an entry or is in use. */
export interface GrantEntryRecord extends GrantEntryFields {
  readonly ref: number;
  /** In-use bits: of the status array for version 2, of the flags for version 1. */
  readonly status: number;
  readonly use: GrantUse | undefined;
}

/** A domain's grant table at one moment. */
export interface GrantTableRecord {
  readonly version: 1 | 2;
  readonly frames: number;
  readonly maxFrames: number;
  readonly statusFrames: number;
  readonly maptrackFrames: number;
  readonly maxMaptrackFrames: number;
  /** Mappings the domain itself holds of others' grants. */
  readonly mappings: number;
  readonly entries: readonly GrantEntryRecord[];
}

const IN_USE = 0x18;
const MAPTRACK_SHIFT = 8;

/** The table of `domid`; `undefined` when there is no such domain. */
export function listTable(machine: GrantMachine, domid: number): GrantTableRecord | undefined {
  const { words } = machine;
  const block = liveTable(machine, domid);
  if (block === 0) return undefined;
  readLock(words, block + TABLE_LOCK, false);
  const entries: GrantEntryRecord[] = [];
  const count = words[block + ENTRIES] as number;
  for (let ref = 0; ref < count; ref++) {
    const entry = readEntry(machine, block, ref);
    if (entry !== undefined) entries.push(entry);
  }
  const record: GrantTableRecord = {
    version: words[block + VERSION] === 2 ? 2 : 1,
    frames: words[block + GRANT_FRAMES] as number,
    maxFrames: words[block + MAX_GRANT_FRAMES] as number,
    statusFrames: words[block + STATUS_FRAMES] as number,
    maptrackFrames: (words[block + MAPTRACK_LIMIT] as number) >>> MAPTRACK_SHIFT,
    maxMaptrackFrames: words[block + MAX_MAPTRACK_FRAMES] as number,
    mappings: words[block + MAPPINGS] as number,
    entries,
  };
  readUnlock(words, block + TABLE_LOCK);
  return record;
}

function readEntry(machine: GrantMachine, block: number, ref: number): GrantEntryRecord | undefined {
  const { words, halfwords } = machine;
  const version2 = words[block + VERSION] === 2;
  const header = sharedEntry(words, block, ref);
  const fields = version2 ? readEntryV2(words, header) : readEntryV1(words, header);
  const status = (version2 ? Atomics.load(halfwords, statusWord(words, block, ref)) : fields.flags) & IN_USE;
  const active = activeEntry(words, block, ref);
  const pin = words[active + ACTIVE_PIN] as number;
  if (fields.flags === 0 && status === 0 && pin === 0) return undefined;
  const range = words[active + ACTIVE_RANGE] as number;
  const domids = words[active + ACTIVE_DOMID_SOURCE] as number;
  const use: GrantUse = {
    pin: pin >>> 0,
    domid: domids & 0xffff,
    sourceDomid: domids >>> 16,
    sourceRef: (words[active + ACTIVE_TRANSITIVE_REF] as number) >>> 0,
    machineFrame: words[active + ACTIVE_MACHINE_FRAME] as number,
    start: range & RANGE_START_MASK,
    length: range >>> 16,
    subPage: (range & RANGE_SUB_PAGE) !== 0,
  };
  return { ref, ...fields, status, use: pin === 0 ? undefined : use };
}

/** References of `domid` that somebody uses right now. */
export function countActive(machine: GrantMachine, domid: number): number {
  const { words } = machine;
  const block = liveTable(machine, domid);
  if (block === 0) return 0;
  readLock(words, block + TABLE_LOCK, false);
  let active = 0;
  const count = words[block + ENTRIES] as number;
  for (let ref = 0; ref < count; ref++) {
    if (words[activeEntry(words, block, ref) + ACTIVE_PIN] !== 0) active++;
  }
  readUnlock(words, block + TABLE_LOCK);
  return active;
}
