/**
 * `GNTTABOP_set_version` (spec grant-tables.md §7.9): a table changes its version while nobody uses it; only the
 * reserved entries survive.
 *
 * @packageDocumentation
 */
import { entriesIn, headerWord, V1_ENTRY_WORDS, V1_FRAME, V2_ENTRY_WORDS, V2_FRAME } from '../layout/entries';
import {
  GNTTAB_NR_RESERVED_ENTRIES,
  GTF_in_use,
  GTF_permit_access,
  GTF_transitive,
  GTF_type_mask,
} from '../layout/entry-flags';
import { ACTIVE_PIN, activeEntry } from './active-entry';
import { EAGAIN, EBUSY, EINVAL, ENOMEM, ENOSYS, ERANGE } from './errno';
import { statusWord } from './in-use-bits';
import type { GrantMachine } from './machine';
import {
  ENTRIES,
  GRANT_FRAMES,
  MAX_VERSION,
  SHARED_LIST,
  TABLE_LOCK,
  V2_OPERATIONS,
  VERSION,
} from './table-block';
import { addStatusFrames, removeStatusFrames } from './table-growth';
import { writeLock, writeUnlock } from './table-lock';

const PAGE_WORDS = 1024;

/** `argument` is the version in and out, also on failure. `own` is the caller's table. */
export function setVersion(machine: GrantMachine, own: number, argument: number): number {
  const { words } = machine;
  const wanted = words[argument] as number;
  const result = changeVersion(machine, own, wanted);
  words[argument] = words[own + VERSION] as number;
  return result;
}

function changeVersion(machine: GrantMachine, own: number, wanted: number): number {
  const { words } = machine;
  if (wanted !== 1 && wanted !== 2) return EINVAL;
  if (wanted === 2 && (words[own + MAX_VERSION] as number) < 2) return ENOSYS;
  if (words[own + VERSION] === wanted) return 0;
  if (!writeLock(words, own + TABLE_LOCK, machine.options.lockPatience)) return EBUSY;
  let result = 0;
  if (words[own + VERSION] !== wanted) {
    if (anyPinned(words, own)) result = EBUSY;
    else result = wanted === 2 ? toVersion2(machine, own) : toVersion1(machine, own);
  }
  writeUnlock(words, own + TABLE_LOCK);
  return result;
}

function anyPinned(words: Int32Array, own: number): boolean {
  const entries = words[own + ENTRIES] as number;
  for (let ref = GNTTAB_NR_RESERVED_ENTRIES; ref < entries; ref++) {
    if (words[activeEntry(words, own, ref) + ACTIVE_PIN] !== 0) return true;
  }
  return false;
}

function toVersion2(machine: GrantMachine, own: number): number {
  const { words, halfwords } = machine;
  if (addStatusFrames(machine, own, words[own + GRANT_FRAMES] as number) !== 0) return ENOMEM;
  const first = reservedEntries(words, own);
  const reserved = words.slice(first, first + GNTTAB_NR_RESERVED_ENTRIES * V1_ENTRY_WORDS);
  clearEntries(words, own);
  for (let ref = 0; ref < GNTTAB_NR_RESERVED_ENTRIES; ref++) {
    const header = reserved[ref * V1_ENTRY_WORDS] as number;
    const entry = first + ref * V2_ENTRY_WORDS;
    words[entry + V2_FRAME] = reserved[ref * V1_ENTRY_WORDS + V1_FRAME] as number;
    Atomics.store(halfwords, statusWord(words, own, ref), header & GTF_in_use);
    Atomics.store(words, entry, header & ~GTF_in_use);
  }
  useVersion(words, own, 2);
  return 0;
}

function toVersion1(machine: GrantMachine, own: number): number {
  const { words, halfwords } = machine;
  if (Atomics.load(words, own + V2_OPERATIONS) !== 0) return EAGAIN;
  const first = reservedEntries(words, own);
  const reserved = words.slice(first, first + GNTTAB_NR_RESERVED_ENTRIES * V2_ENTRY_WORDS);
  const status = new Int32Array(GNTTAB_NR_RESERVED_ENTRIES);
  for (let ref = 0; ref < GNTTAB_NR_RESERVED_ENTRIES; ref++) {
    const type = (reserved[ref * V2_ENTRY_WORDS] as number) & GTF_type_mask;
    const beyond = reserved[ref * V2_ENTRY_WORDS + V2_FRAME + 1] !== 0;
    if (type === GTF_transitive || (type === GTF_permit_access && beyond)) return ERANGE;
    status[ref] = Atomics.load(halfwords, statusWord(words, own, ref));
  }
  if (!removeStatusFrames(machine, own)) return EBUSY;
  clearEntries(words, own);
  for (let ref = 0; ref < GNTTAB_NR_RESERVED_ENTRIES; ref++) {
    const header = reserved[ref * V2_ENTRY_WORDS] as number;
    if ((header & GTF_type_mask) !== GTF_permit_access) continue;
    const entry = first + ref * V1_ENTRY_WORDS;
    words[entry + V1_FRAME] = reserved[ref * V2_ENTRY_WORDS + V2_FRAME] as number;
    Atomics.store(words, entry, headerWord(header | (status[ref] as number), header >>> 16));
  }
  useVersion(words, own, 1);
  return 0;
}

/** Word index of reference 0, in both versions. */
function reservedEntries(words: Int32Array, own: number): number {
  return words[words[own + SHARED_LIST] as number] as number;
}

function clearEntries(words: Int32Array, own: number): void {
  const list = words[own + SHARED_LIST] as number;
  for (let index = 0; index < (words[own + GRANT_FRAMES] as number); index++) {
    const frame = words[list + index] as number;
    words.fill(0, frame, frame + PAGE_WORDS);
  }
}

function useVersion(words: Int32Array, own: number, version: number): void {
  words[own + ENTRIES] = entriesIn(words[own + GRANT_FRAMES] as number, version);
  Atomics.store(words, own + VERSION, version);
}
