/** Bytes whose sum of 16-bit words stays below 2^31, so that the loop runs on small integers. */
const CHUNK = 65536;
const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/**
 * RFC 1071: the folded ones' complement sum of 16-bit words in wire order, not complemented. It sums in the machine's order,
 * two words at a time, and swaps once at the end (RFC 1071 §2 B).
 *
 * @param words the same memory as `bytes`, word 0 at byte 0.
 */
export function internetChecksum(
  bytes: Uint8Array,
  words: Int32Array,
  start: number,
  length: number,
  initial: number,
): number {
  const end = start + length;
  let at = start;
  let sum = 0;
  // Up to the first whole word, byte by byte in the order of the range.
  const aligned = Math.min(end, (start + 3) & ~3);
  let odd = false;
  for (; at < aligned; at++) {
    const byte = bytes[at] as number;
    sum += odd === LITTLE_ENDIAN ? byte << 8 : byte;
    odd = !odd;
  }
  // Words that start at an odd byte of the range contribute with their bytes swapped.
  const last = end & ~3;
  while (at < last) {
    const stop = Math.min(last, at + CHUNK);
    let chunk = 0;
    for (; at < stop; at += 4) {
      const word = words[at >> 2] as number;
      chunk += (word & 0xffff) + (word >>> 16);
    }
    chunk = folded(chunk);
    sum += odd ? swapped(chunk) : chunk;
  }
  for (; at < end; at++) {
    const byte = bytes[at] as number;
    sum += odd === LITTLE_ENDIAN ? byte << 8 : byte;
    odd = !odd;
  }
  const native = folded(sum);
  return folded((LITTLE_ENDIAN ? swapped(native) : native) + initial);
}

function swapped(value: number): number {
  return ((value & 0xff) << 8) | (value >>> 8);
}

/** Sums here stay far below 2^53, so plain arithmetic is exact. */
function folded(sum: number): number {
  let rest = sum;
  while (rest > 0xffff) rest = (rest % 0x1_0000) + Math.floor(rest / 0x1_0000);
  return rest;
}
