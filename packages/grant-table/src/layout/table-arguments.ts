/**
 * Argument structs of the operations on whole tables, of swap, transfer and cache_flush (spec grant-tables.md §3).
 * Addresses are byte offsets into the machine memory, multiples of 4; offsets below are in 32-bit words.
 *
 * @packageDocumentation
 */

/** struct gnttab_setup_table: `dom` u16 · `nr_frames` u32 · `status` s16 · `frame_list` pointer to u64[]. */
export const SETUP_TABLE_BYTES = 24;
export const SETUP_TABLE_DOM = 0;
export const SETUP_TABLE_FRAMES = 1;
export const SETUP_TABLE_STATUS = 2;
export const SETUP_TABLE_LIST = 4;

export function writeSetupTable(
  words: Int32Array,
  address: number,
  domid: number,
  frameCount: number,
  frameList: number,
): void {
  const base = address >>> 2;
  words[base + SETUP_TABLE_DOM] = domid & 0xffff;
  words[base + SETUP_TABLE_FRAMES] = frameCount;
  words[base + SETUP_TABLE_STATUS] = 0;
  words[base + SETUP_TABLE_LIST] = frameList;
  words[base + SETUP_TABLE_LIST + 1] = 0;
}

export function setupTableStatus(words: Int32Array, address: number): number {
  return ((words[(address >>> 2) + SETUP_TABLE_STATUS] as number) << 16) >> 16;
}

/** struct gnttab_get_status_frames: `nr_frames` u32 · `dom` u16, `status` s16 · `frame_list` pointer to u64[]. */
export const STATUS_FRAMES_BYTES = 16;
export const STATUS_FRAMES_FRAMES = 0;
export const STATUS_FRAMES_DOM_STATUS = 1;
export const STATUS_FRAMES_LIST = 2;

export function writeGetStatusFrames(
  words: Int32Array,
  address: number,
  domid: number,
  frameCount: number,
  frameList: number,
): void {
  const base = address >>> 2;
  words[base + STATUS_FRAMES_FRAMES] = frameCount;
  words[base + STATUS_FRAMES_DOM_STATUS] = domid & 0xffff;
  words[base + STATUS_FRAMES_LIST] = frameList;
  words[base + STATUS_FRAMES_LIST + 1] = 0;
}

export function getStatusFramesStatus(words: Int32Array, address: number): number {
  return (words[(address >>> 2) + STATUS_FRAMES_DOM_STATUS] as number) >> 16;
}

/** struct gnttab_query_size: `dom` u16 · `nr_frames` u32 · `max_nr_frames` u32 · `status` s16. */
export const QUERY_SIZE_BYTES = 16;
export const QUERY_SIZE_DOM = 0;
export const QUERY_SIZE_FRAMES = 1;
export const QUERY_SIZE_MAX_FRAMES = 2;
export const QUERY_SIZE_STATUS = 3;

export function writeQuerySize(words: Int32Array, address: number, domid: number): void {
  const base = address >>> 2;
  words[base + QUERY_SIZE_DOM] = domid & 0xffff;
  words[base + QUERY_SIZE_STATUS] = 0;
}

export function querySizeStatus(words: Int32Array, address: number): number {
  return ((words[(address >>> 2) + QUERY_SIZE_STATUS] as number) << 16) >> 16;
}

/** struct gnttab_set_version: `version` u32, in and out. */
export const SET_VERSION_BYTES = 4;

/** struct gnttab_get_version: `dom` u16 · `version` u32. */
export const GET_VERSION_BYTES = 8;
export const GET_VERSION_DOM = 0;
export const GET_VERSION_VERSION = 1;

/** struct gnttab_swap_grant_ref: `ref_a` u32 · `ref_b` u32 · `status` s16. */
export const SWAP_BYTES = 12;
export const SWAP_REF_A = 0;
export const SWAP_REF_B = 1;
export const SWAP_STATUS = 2;

/** struct gnttab_transfer: `mfn` u64 · `domid` u16 · `ref` u32 · `status` s16. */
export const TRANSFER_BYTES = 24;
export const TRANSFER_FRAME = 0;
export const TRANSFER_DOMID = 2;
export const TRANSFER_REF = 3;
export const TRANSFER_STATUS = 4;

/** struct gnttab_cache_flush: `dev_bus_addr` u64 or `ref` u32 · `offset` u16, `length` u16 · `op` u32. */
export const CACHE_FLUSH_BYTES = 16;
export const CACHE_FLUSH_ADDRESS = 0;
export const CACHE_FLUSH_OFFSET_LENGTH = 2;
export const CACHE_FLUSH_OPERATION = 3;

/** Stores a 16-bit status in the low half of a word whose high half is padding. */
export function storeLowStatus(words: Int32Array, index: number, status: number): void {
  words[index] = ((words[index] as number) & ~0xffff) | (status & 0xffff);
}

/** Stores a 16-bit status in the high half of a word whose low half is a domain id. */
export function storeHighStatus(words: Int32Array, index: number, status: number): void {
  words[index] = ((words[index] as number) & 0xffff) | (status << 16);
}
