/**
 * Maptrack: the handles of a domain's mappings (spec grant-tables.md §4, §6.1). An entry is four words; the free list
 * is threaded through the free ones.
 *
 * The list hands out from its head, takes back at its tail, and never gives its last entry away: handle values are
 * visible to guests, and theirs is this order.
 *
 * @packageDocumentation
 */
import type { GrantMachine } from './machine';
import {
  MAPPINGS,
  MAPTRACK_HEAD,
  MAPTRACK_LIMIT,
  MAPTRACK_LIST,
  MAPTRACK_LOCK,
  MAPTRACK_TAIL,
  MAX_MAPTRACK_FRAMES,
} from './table-block';

/** Reference in the granter's table; of a free entry, the next free handle. */
export const TRACK_REF = 0;
/** Low half of the map flags; 0 marks a free entry. Stored last, read first. */
export const TRACK_FLAGS = 1;
/** The granter. */
export const TRACK_DOMID = 2;
const TRACK_WORDS_SHIFT = 2;

const HANDLES_SHIFT = 8;
const HANDLES_PER_FRAME = 1 << HANDLES_SHIFT;
const END = -1;

const SPINS = 200;

/** Word index of a handle's entry; the handle must be below the limit. */
export function trackEntry(words: Int32Array, block: number, handle: number): number {
  const list = words[block + MAPTRACK_LIST] as number;
  const frame = words[list + (handle >>> HANDLES_SHIFT)] as number;
  return frame + ((handle & (HANDLES_PER_FRAME - 1)) << TRACK_WORDS_SHIFT);
}

/** Takes a handle for a mapping of the domain of `block`; -1 when there is none. */
export function takeHandle(machine: GrantMachine, block: number): number {
  const { words } = machine;
  lockTrack(words, block);
  const head = words[block + MAPTRACK_HEAD] as number;
  const next = head === END ? END : (words[trackEntry(words, block, head) + TRACK_REF] as number);
  let handle = head;
  if (next === END) handle = addFrame(machine, block);
  else words[block + MAPTRACK_HEAD] = next;
  Atomics.store(words, block + MAPTRACK_LOCK, 0);
  return handle;
}

/** Gives a handle back whose entry's flags are 0. */
export function putHandle(words: Int32Array, block: number, handle: number): void {
  lockTrack(words, block);
  words[trackEntry(words, block, handle) + TRACK_REF] = END;
  const tail = words[block + MAPTRACK_TAIL] as number;
  words[trackEntry(words, block, tail) + TRACK_REF] = handle;
  words[block + MAPTRACK_TAIL] = handle;
  Atomics.store(words, block + MAPTRACK_LOCK, 0);
}

/** Fills in the entry of a handle that was taken. */
export function writeTrack(
  words: Int32Array,
  block: number,
  handle: number,
  domid: number,
  ref: number,
  flags: number,
): void {
  const track = trackEntry(words, block, handle);
  words[track + TRACK_REF] = ref;
  words[track + TRACK_DOMID] = domid;
  Atomics.store(words, track + TRACK_FLAGS, flags & 0xffff);
  Atomics.add(words, block + MAPPINGS, 1);
}

/** Ends the entry of a mapping of which no part is left, and frees its handle. */
export function clearTrack(words: Int32Array, block: number, handle: number): void {
  Atomics.store(words, trackEntry(words, block, handle) + TRACK_FLAGS, 0);
  Atomics.sub(words, block + MAPPINGS, 1);
  putHandle(words, block, handle);
}

/** Adds 256 handles; the first is the answer, the others go to the head of the list. */
function addFrame(machine: GrantMachine, block: number): number {
  const { words, host } = machine;
  const first = words[block + MAPTRACK_LIMIT] as number;
  if (first >>> HANDLES_SHIFT >= (words[block + MAX_MAPTRACK_FRAMES] as number)) return END;
  const page = host.allocateXenPages(1);
  if (page === 0) return END;
  const frame = page >>> 2;
  words[(words[block + MAPTRACK_LIST] as number) + (first >>> HANDLES_SHIFT)] = frame;
  for (let index = 1; index < HANDLES_PER_FRAME; index++) {
    words[frame + (index << TRACK_WORDS_SHIFT) + TRACK_REF] = first + index + 1;
  }
  const last = first + HANDLES_PER_FRAME - 1;
  const head = words[block + MAPTRACK_HEAD] as number;
  words[frame + ((HANDLES_PER_FRAME - 1) << TRACK_WORDS_SHIFT) + TRACK_REF] = head;
  if (head === END) words[block + MAPTRACK_TAIL] = last;
  words[block + MAPTRACK_HEAD] = first + 1;
  Atomics.store(words, block + MAPTRACK_LIMIT, first + HANDLES_PER_FRAME);
  return first;
}

function lockTrack(words: Int32Array, block: number): void {
  for (let spins = 0; Atomics.compareExchange(words, block + MAPTRACK_LOCK, 0, 1) !== 0; spins++) {
    if (spins > SPINS) Atomics.wait(words, block + MAPTRACK_LOCK, 1, 1);
  }
}
