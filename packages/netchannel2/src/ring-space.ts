/**
 * Where a message goes in a byte ring and how many bytes that takes (spec `vif2.md` §2.3).
 *
 * @packageDocumentation
 */

/**
 * Whether a message of `size` bytes at index `produced` needs a PAD in front: it would cross the ring's end, or end exactly
 * there, which the header's arithmetic counts as crossing.
 */
export function wouldWrap(produced: number, size: number, ringBytes: number): boolean {
  return (produced & (ringBytes - 1)) + size >= ringBytes;
}

/** Bytes from index `produced` to the ring's end: the size of the PAD there. */
export function bytesToEnd(produced: number, ringBytes: number): number {
  return ringBytes - (produced & (ringBytes - 1));
}

/** Bytes a message of `size` bytes takes at index `produced`, its PAD included. */
export function bytesNeeded(produced: number, size: number, ringBytes: number): number {
  return wouldWrap(produced, size, ringBytes) ? size + bytesToEnd(produced, ringBytes) : size;
}
