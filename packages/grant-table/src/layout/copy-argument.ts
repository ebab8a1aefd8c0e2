/**
 * Argument struct of `GNTTABOP_copy` (spec grant-tables.md §3). Addresses are byte offsets into the machine memory,
 * multiples of 4.
 *
 * @packageDocumentation
 */

/** struct gnttab_copy: 40 bytes, offsets in 32-bit words. */
export const COPY_BYTES = 40;
export const COPY_WORDS = 10;
/** Reference, or low word of the guest frame, of the source. */
export const COPY_SOURCE = 0;
/** `domid` u16, `offset` u16. */
export const COPY_SOURCE_DOMID_OFFSET = 2;
export const COPY_DEST = 4;
export const COPY_DEST_DOMID_OFFSET = 6;
/** `len` u16, `flags` u16. */
export const COPY_LENGTH_FLAGS = 8;
/** `status` s16, then padding. */
export const COPY_STATUS = 9;

/**
 * Fills one element. `source` and `dest` are references where the flag says so, guest frames below 2^32 otherwise; the
 * domid of a side given by frame must be DOMID_SELF.
 */
export function writeCopy(
  words: Int32Array,
  address: number,
  source: number,
  sourceDomid: number,
  sourceOffset: number,
  dest: number,
  destDomid: number,
  destOffset: number,
  length: number,
  flags: number,
): void {
  const base = address >>> 2;
  words[base + COPY_SOURCE] = source;
  words[base + COPY_SOURCE + 1] = 0;
  words[base + COPY_SOURCE_DOMID_OFFSET] = (sourceDomid & 0xffff) | (sourceOffset << 16);
  words[base + COPY_DEST] = dest;
  words[base + COPY_DEST + 1] = 0;
  words[base + COPY_DEST_DOMID_OFFSET] = (destDomid & 0xffff) | (destOffset << 16);
  words[base + COPY_LENGTH_FLAGS] = (length & 0xffff) | (flags << 16);
}

export function copyStatus(words: Int32Array, address: number): number {
  return ((words[(address >>> 2) + COPY_STATUS] as number) << 16) >> 16;
}
