/**
 * Extra info: 8 bytes in a slot of their own behind a packet's first slot (`io/netif.h`, spec vif.md §4).
 *
 * type u8 · flags u8 · body of 6 bytes. In a TX slot of 12 bytes the last word is padding. Readers take the two words as
 * copied from the slot.
 *
 * @packageDocumentation
 */

export const ExtraType = { gso: 1, multicastAdd: 2, multicastDelete: 3, hash: 4, xdp: 5 } as const;
export type ExtraType = (typeof ExtraType)[keyof typeof ExtraType];
/** Largest type known; 0 and anything above are malformed. */
export const EXTRA_TYPE_MAX = 5;

/** Another extra info follows. */
export const EXTRA_MORE = 1;

export const GsoType = { tcpv4: 1, tcpv6: 2 } as const;

/** What a hash was computed over: bit numbers, the masks of the control ring are `1 << type`. */
export const HashType = { ipv4: 0, ipv4Tcp: 1, ipv6: 2, ipv6Tcp: 3 } as const;
export type HashType = (typeof HashType)[keyof typeof HashType];

export const HashAlgorithm = { none: 0, toeplitz: 1 } as const;

export function extraType(first: number): number {
  return first & 0xff;
}
export function extraFlags(first: number): number {
  return (first >>> 8) & 0xff;
}
/** Whether the type byte names a known extra info. */
export function isExtraType(type: number): boolean {
  return type > 0 && type <= EXTRA_TYPE_MAX;
}

/** @param size payload bytes per segment, 1 … 65535. */
export function writeGsoExtra(
  words: Int32Array,
  at: number,
  size: number,
  gsoType: number,
  flags: number,
): void {
  words[at] = ExtraType.gso | (flags << 8) | (size << 16);
  words[at + 1] = gsoType & 0xff;
}
export function gsoSize(first: number): number {
  return first >>> 16;
}
export function gsoType(second: number): number {
  return second & 0xff;
}

/** @param mac the address as a 48-bit number, first byte highest. */
export function writeMulticastExtra(
  words: Int32Array,
  at: number,
  type: typeof ExtraType.multicastAdd | typeof ExtraType.multicastDelete,
  mac: number,
  flags: number,
): void {
  const high = Math.floor(mac / 0x1_0000_0000);
  words[at] = type | (flags << 8) | ((high >>> 8) << 16) | ((high & 0xff) << 24);
  words[at + 1] = swapBytes(mac >>> 0);
}
/** The address as a 48-bit number, first byte highest. */
export function multicastMac(first: number, second: number): number {
  const high = (((first >>> 16) & 0xff) << 8) | (first >>> 24);
  return high * 0x1_0000_0000 + (swapBytes(second) >>> 0);
}

export function writeHashExtra(
  words: Int32Array,
  at: number,
  type: HashType,
  algorithm: number,
  value: number,
  flags: number,
): void {
  words[at] = ExtraType.hash | (flags << 8) | (type << 16) | (algorithm << 24);
  words[at + 1] = value;
}
export function hashType(first: number): number {
  return (first >>> 16) & 0xff;
}
export function hashAlgorithm(first: number): number {
  return first >>> 24;
}
export function hashValue(second: number): number {
  return second >>> 0;
}

export function writeXdpExtra(words: Int32Array, at: number, headroom: number, flags: number): void {
  words[at] = ExtraType.xdp | (flags << 8) | (headroom << 16);
  words[at + 1] = 0;
}
export function xdpHeadroom(first: number): number {
  return first >>> 16;
}

function swapBytes(word: number): number {
  return (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
}
