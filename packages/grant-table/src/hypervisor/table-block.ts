/**
 * The fixed record of one domain's grant table, in the block the host keeps per domain. Offsets are in 32-bit words.
 *
 * The groups lie on cache lines of their own: what every operation reads and only growth or a version change writes;
 * the table lock; the maptrack; counters of the domain's own thread; a lane for each thread that works on the table.
 *
 * Lists hold positions, not addresses: of shared frames, active entries and maptrack entries the index of the first
 * 32-bit word, of status frames the index of the first 16-bit word.
 *
 * @packageDocumentation
 */

/** Bytes the host reserves per domain, zero when the machine starts. */
export const GRANT_TABLE_BLOCK_BYTES = 1024;

/** 1 or 2; 0 while the domain has no table. */
export const VERSION = 0;
/** References 0 … ENTRIES - 1 exist. */
export const ENTRIES = 1;
export const GRANT_FRAMES = 2;
export const STATUS_FRAMES = 3;
export const SHARED_LIST = 4;
export const STATUS_LIST = 5;
/** One item per grant frame of version 1: the active entries of 512 references. */
export const ACTIVE_LIST = 6;
export const MAPTRACK_LIST = 7;
export const MAX_GRANT_FRAMES = 8;
export const MAX_MAPTRACK_FRAMES = 9;
export const MAX_VERSION = 10;
export const TABLE_DOMID = 11;
/** Where the lists lie, for giving them back. */
export const LISTS_ADDRESS = 12;
export const LISTS_PAGES = 13;
/** See table-lock.ts; kernels count themselves in the lanes. */
export const TABLE_LOCK = 16;
/** Sub-page and transitive copies in flight; while there are any, version 2 stays. */
export const V2_OPERATIONS = 17;

export const MAPTRACK_LOCK = 32;
/** First and last handle of the free list; -1 while no frame was added. */
export const MAPTRACK_HEAD = 33;
export const MAPTRACK_TAIL = 34;
/** Handles 0 … MAPTRACK_LIMIT - 1 have entries. */
export const MAPTRACK_LIMIT = 35;
/** Live mappings made by this domain. */
export const MAPPINGS = 36;

/** 64-bit counters, low word first; the offsets of the domain's own operations. */
export const COUNT_MAPS = 48;
export const COUNT_UNMAPS = 50;
export const COUNT_COPIES = 52;
export const COUNT_BYTES_COPIED_BY = 54;
export const COUNT_ELEMENTS = 56;
export const COUNT_HYPERCALLS = 58;

/**
 * What threads write while they work on the table lies in lanes, a cache line each: each thread has its own, or shares it where
 * there are more than eight.
 */
export const LANES = 8;
export const FIRST_LANE = 128;
export const LANE_WORDS = 16;
/** In each lane: kernels that hold the table. */
export const LANE_KERNELS = 0;
/** In each lane: a 64-bit counter, low word first. */
export const LANE_BYTES_COPIED_FOR = 2;

/** Adds to a counter only this domain's own thread writes. */
export function addOwn(words: Int32Array, index: number, amount: number): void {
  const sum = ((words[index] as number) >>> 0) + amount;
  words[index] = sum | 0;
  if (sum > 0xffff_ffff) words[index + 1] = (words[index + 1] as number) + 1;
}

/** Adds to a counter several threads write. */
function addShared(words: Int32Array, index: number, amount: number): void {
  const before = Atomics.add(words, index, amount) >>> 0;
  if (before + amount > 0xffff_ffff) Atomics.add(words, index + 1, 1);
}

/** Adds to what the table's domain has had copied; of any thread's. */
export function addBytesCopiedFor(words: Int32Array, block: number, caller: number, length: number): void {
  const lane = block + FIRST_LANE + (caller & (LANES - 1)) * LANE_WORDS;
  addShared(words, lane + LANE_BYTES_COPIED_FOR, length);
}

/** The sum of {@link addBytesCopiedFor} and of what kernels counted. */
export function bytesCopiedFor(words: Int32Array, block: number): number {
  let sum = 0;
  for (let lane = 0; lane < LANES; lane++) {
    sum += readCounter(words, block + FIRST_LANE + lane * LANE_WORDS + LANE_BYTES_COPIED_FOR);
  }
  return sum;
}

/** A counter's value; exact up to 2^53. */
export function readCounter(words: Int32Array, index: number): number {
  const high = Atomics.load(words, index + 1) >>> 0;
  return high * 0x1_0000_0000 + (Atomics.load(words, index) >>> 0);
}
