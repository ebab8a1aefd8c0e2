/**
 * The in-use bits a guest sees (spec grant-tables.md §6.3, §6.4): in the flags of version 1, in the status array of
 * version 2.
 *
 * @packageDocumentation
 */

import {
  STATUS_WORDS_PER_FRAME,
  STATUS_WORDS_SHIFT,
  V1_ENTRIES_PER_FRAME,
  V1_ENTRIES_SHIFT,
  V2_ENTRIES_PER_FRAME,
  V2_ENTRIES_SHIFT,
} from '../layout/entries';
import {
  GTF_permit_access,
  GTF_reading,
  GTF_readonly,
  GTF_sub_page,
  GTF_transitive,
  GTF_type_mask,
  GTF_writing,
} from '../layout/entry-flags';
import { ACTIVE_PIN, PIN_WRITE_MASK } from './active-entry';
import { SHARED_LIST, STATUS_LIST, VERSION } from './table-block';

/** How often a header that the guest keeps changing is tried. */
export const HEADER_ATTEMPTS = 5;

/** Index of the header word of the shared entry of `ref`, which must exist. */
export function sharedEntry(words: Int32Array, block: number, ref: number): number {
  const list = words[block + SHARED_LIST] as number;
  return words[block + VERSION] === 1
    ? (words[list + (ref >>> V1_ENTRIES_SHIFT)] as number) + ((ref & (V1_ENTRIES_PER_FRAME - 1)) << 1)
    : (words[list + (ref >>> V2_ENTRIES_SHIFT)] as number) + ((ref & (V2_ENTRIES_PER_FRAME - 1)) << 2);
}

/** Index of the status word of `ref` among 16-bit words; version 2 only. */
export function statusWord(words: Int32Array, block: number, ref: number): number {
  const list = words[block + STATUS_LIST] as number;
  return (words[list + (ref >>> STATUS_WORDS_SHIFT)] as number) + (ref & (STATUS_WORDS_PER_FRAME - 1));
}

/**
 * Marks an entry in use by `caller`, if it allows that. Called with the active entry locked.
 *
 * @param active index of the active entry.
 * @returns whether it does; nothing stays set if not.
 */
export function setInUse(
  words: Int32Array,
  halfwords: Uint16Array,
  block: number,
  ref: number,
  active: number,
  write: boolean,
  map: boolean,
  caller: number,
): boolean {
  const header = sharedEntry(words, block, ref);
  const pinned = words[active + ACTIVE_PIN] !== 0;
  return words[block + VERSION] === 1
    ? setInUseV1(words, header, pinned, write, map, caller)
    : setInUseV2(words, halfwords, header, statusWord(words, block, ref), pinned, write, map, caller);
}

function setInUseV1(
  words: Int32Array,
  header: number,
  pinned: boolean,
  write: boolean,
  map: boolean,
  caller: number,
): boolean {
  const mask = map ? GTF_type_mask | GTF_sub_page : GTF_type_mask;
  let seen = Atomics.load(words, header);
  for (let attempts = 0; attempts < HEADER_ATTEMPTS; attempts++) {
    if (!pinned && ((seen & mask) !== GTF_permit_access || seen >>> 16 !== caller)) return false;
    if (write && (seen & GTF_readonly) !== 0) return false;
    const wanted = seen | (write ? GTF_reading | GTF_writing : GTF_reading);
    const found = Atomics.compareExchange(words, header, seen, wanted);
    if (found === seen) return true;
    seen = found;
  }
  return false;
}

function setInUseV2(
  words: Int32Array,
  halfwords: Uint16Array,
  header: number,
  status: number,
  pinned: boolean,
  write: boolean,
  map: boolean,
  caller: number,
): boolean {
  let seen = Atomics.load(words, header);
  if (!pinned && !allowsV2(seen, map, caller)) return false;
  if (write && (seen & GTF_readonly) !== 0) return false;
  Atomics.or(halfwords, status, write ? GTF_reading | GTF_writing : GTF_reading);
  // The guest stores flags, then loads the status; we have stored the status and load the flags: one of the two sees
  // the other.
  seen = Atomics.load(words, header);
  if (pinned) {
    if ((seen & GTF_readonly) === 0) return true;
    Atomics.and(halfwords, status, ~GTF_writing);
    return false;
  }
  if (allowsV2(seen, map, caller) && !(write && (seen & GTF_readonly) !== 0)) return true;
  Atomics.and(halfwords, status, ~(GTF_reading | GTF_writing));
  return false;
}

function allowsV2(header: number, map: boolean, caller: number): boolean {
  if (header >>> 16 !== caller) return false;
  if (map) return (header & (GTF_type_mask | GTF_sub_page)) === GTF_permit_access;
  const type = header & GTF_type_mask;
  return type === GTF_permit_access || type === GTF_transitive;
}

/** After a pin was dropped or not taken: clears the bits no pin needs. Called with the active entry locked. */
export function reduceInUse(
  words: Int32Array,
  halfwords: Uint16Array,
  block: number,
  ref: number,
  active: number,
  write: boolean,
): void {
  const pin = words[active + ACTIVE_PIN] as number;
  let clear = pin === 0 ? GTF_reading : 0;
  if (write && (pin & PIN_WRITE_MASK) === 0) clear |= GTF_writing;
  if (clear === 0) return;
  if (words[block + VERSION] === 1) Atomics.and(words, sharedEntry(words, block, ref), ~clear);
  else Atomics.and(halfwords, statusWord(words, block, ref), ~clear);
}
