/**
 * Slots of the TX ring, guest to backend (`io/netif.h`, spec vif.md §2).
 *
 * Request, 12 bytes: gref u32 · offset u16 · flags u16 · id u16 · size u16. Response, 4 bytes: id u16 · status i16.
 * Functions take the word index of a slot; read from private copies, never twice from the shared page.
 *
 * @packageDocumentation
 */

/** Flags of a TX request. The RX ring uses other values for the same meanings. */
export const TxFlag = { checksumBlank: 1, dataValidated: 2, moreData: 4, extraInfo: 8 } as const;

/** Status of a TX response. `none` (NULL) answers the slot of an extra info. */
export const TxStatus = { dropped: -2, error: -1, okay: 0, none: 1 } as const;
export type TxStatus = (typeof TxStatus)[keyof typeof TxStatus];

/** Words of a TX request. */
export const TX_REQUEST_WORDS = 3;

export function writeTxRequest(
  words: Int32Array,
  at: number,
  gref: number,
  offset: number,
  flags: number,
  id: number,
  size: number,
): void {
  words[at] = gref;
  words[at + 1] = offset | (flags << 16);
  words[at + 2] = id | (size << 16);
}

/** Takes a private copy of a request, one read per word. */
export function copyTxRequest(words: Int32Array, at: number, copy: Int32Array, copyAt: number): void {
  copy[copyAt] = words[at] ?? 0;
  copy[copyAt + 1] = words[at + 1] ?? 0;
  copy[copyAt + 2] = words[at + 2] ?? 0;
}

/** The reference, unsigned. */
export function txRequestGref(words: Int32Array, at: number): number {
  return (words[at] ?? 0) >>> 0;
}
export function txRequestOffset(words: Int32Array, at: number): number {
  return (words[at + 1] ?? 0) & 0xffff;
}
export function txRequestFlags(words: Int32Array, at: number): number {
  return (words[at + 1] ?? 0) >>> 16;
}
export function txRequestId(words: Int32Array, at: number): number {
  return (words[at + 2] ?? 0) & 0xffff;
}
/** Of a packet's first request the length of the whole packet, of a later one that of its own fragment. */
export function txRequestSize(words: Int32Array, at: number): number {
  return (words[at + 2] ?? 0) >>> 16;
}

export function writeTxResponse(words: Int32Array, at: number, id: number, status: number): void {
  words[at] = (id & 0xffff) | (status << 16);
}
export function txResponseId(word: number): number {
  return word & 0xffff;
}
export function txResponseStatus(word: number): number {
  return word >> 16;
}
