/**
 * The Toeplitz hash that spreads flows over queues (spec vif.md §9).
 *
 * @packageDocumentation
 */

/** Bytes of the key; shorter ones are padded with zeros. */
export const TOEPLITZ_KEY_BYTES = 40;

/** A key prepared for hashing. */
export class ToeplitzHash {
  /** The 32-bit window of the key that starts at each bit. */
  private readonly windows = new Int32Array(TOEPLITZ_KEY_BYTES * 8);

  /** @param key up to 40 bytes; bytes beyond are ignored. */
  constructor(key: Uint8Array) {
    const bit = (index: number) => ((key[index >> 3] ?? 0) >> (7 - (index & 7))) & 1;
    const bits = TOEPLITZ_KEY_BYTES * 8;
    let window = 0;
    for (let index = 0; index < 32; index++) window = (window << 1) | bit(index);
    for (let index = 0; index < bits; index++) {
      this.windows[index] = window;
      window = (window << 1) | (index + 32 < bits ? bit(index + 32) : 0);
    }
  }

  /** Hash of up to 36 bytes of input (longer input is cut), unsigned. */
  hash(input: Uint8Array, length = input.byteLength): number {
    const end = Math.min(length, TOEPLITZ_KEY_BYTES - 4);
    let result = 0;
    for (let index = 0; index < end; index++) {
      let byte = input[index] ?? 0;
      for (let at = index * 8; byte !== 0; at++, byte = (byte << 1) & 0xff) {
        if ((byte & 0x80) !== 0) result ^= this.windows[at] ?? 0;
      }
    }
    return result >>> 0;
  }
}
