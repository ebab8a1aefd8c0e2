/**
 * Active entries: Xen's private record of each grant in use (spec grant-tables.md §6.1), 32 bytes per reference.
 *
 * The lock is the first word. A copy kernel may hold it for the length of one copy in place of a pin: others wait and
 * find the entry as it was, as if the copy had happened before them.
 *
 * @packageDocumentation
 */
import { ACTIVE_LIST } from './table-block';

/** Words of an active entry; offsets of its fields. */
export const ACTIVE_WORDS = 8;
export const ACTIVE_LOCK = 0;
export const ACTIVE_PIN = 1;
/** Grantee, and above it the domain the page really comes from. */
export const ACTIVE_DOMID_SOURCE = 2;
/** `start` in 15 bits, `is_sub_page` in bit 15, `length` above. */
export const ACTIVE_RANGE = 3;
export const ACTIVE_TRANSITIVE_REF = 4;
export const ACTIVE_MACHINE_FRAME = 5;
/** The guest frame that was recorded, for display. */
export const ACTIVE_GUEST_FRAME = 6;

/** Pages of active entries that go with one grant frame: 512 entries of 32 bytes. */
export const ACTIVE_PAGES_PER_GRANT_FRAME = 4;
const ENTRIES_SHIFT = 9;
/** Of the references of a group, the odd ones lie behind the even ones. */
const ODD_SHIFT = 8;
const PAIRS_MASK = (1 << ODD_SHIFT) - 1;
const WORDS_SHIFT = 3;

export const RANGE_SUB_PAGE = 1 << 15;
export const RANGE_START_MASK = RANGE_SUB_PAGE - 1;
/** A whole page: start 0, length 4096. */
export const RANGE_WHOLE_PAGE = 4096 << 16;

/** Pins: four 8-bit counters in one word. */
export const PIN_HOST_WRITE = 1;
export const PIN_HOST_READ = 1 << 8;
export const PIN_DEVICE_WRITE = 1 << 16;
export const PIN_DEVICE_READ = 1 << 24;
export const PIN_WRITE_MASK = 0x00ff_00ff;
/** From increments to the counters' top bits, which must be clear before adding. */
export const PIN_OVERFLOW_SHIFT = 7;

const UNLOCKED = 0;
const HELD = 1;

const SPINS = 200;
const SLEEP_MILLISECONDS = 1;

/**
 * Index of the first word of the active entry of `ref`, which must exist in the table of `block`. Neighbours do not share a
 * cache line: two CPUs at references granted one after the other would wait for each other at every lock.
 */
export function activeEntry(words: Int32Array, block: number, ref: number): number {
  const list = words[block + ACTIVE_LIST] as number;
  return (
    (words[list + (ref >>> ENTRIES_SHIFT)] as number) +
    ((((ref & 1) << ODD_SHIFT) | ((ref >>> 1) & PAIRS_MASK)) << WORDS_SHIFT)
  );
}

export function lockEntry(words: Int32Array, entry: number): void {
  if (Atomics.compareExchange(words, entry, UNLOCKED, HELD) !== UNLOCKED) lockEntrySlowly(words, entry);
}

function lockEntrySlowly(words: Int32Array, entry: number): void {
  for (let spins = 0; ; spins++) {
    const seen = Atomics.load(words, entry);
    if (seen === UNLOCKED) {
      if (Atomics.compareExchange(words, entry, UNLOCKED, HELD) === UNLOCKED) return;
    } else if (spins >= SPINS) Atomics.wait(words, entry, seen, SLEEP_MILLISECONDS);
  }
}

export function unlockEntry(words: Int32Array, entry: number): void {
  Atomics.store(words, entry, UNLOCKED);
}
