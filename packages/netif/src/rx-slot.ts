/**
 * Slots of the RX ring, backend to guest (`io/netif.h`, spec vif.md §3).
 *
 * Request, 8 bytes: id u16 · pad u16 · gref u32. Response, 8 bytes: id u16 · offset u16 · flags u16 · status i16.
 *
 * @packageDocumentation
 */

/** Flags of an RX response. Validated and blank are swapped against the TX ring. */
export const RxFlag = {
  dataValidated: 1,
  checksumBlank: 2,
  moreData: 4,
  extraInfo: 8,
  gsoPrefix: 16,
} as const;

/** Negative status of an RX response; positive ones are the bytes of that slot. */
export const RxStatus = { dropped: -2, error: -1 } as const;

export function writeRxRequest(words: Int32Array, at: number, id: number, gref: number): void {
  words[at] = id & 0xffff;
  words[at + 1] = gref;
}
export function rxRequestId(words: Int32Array, at: number): number {
  return (words[at] ?? 0) & 0xffff;
}
/** The reference, unsigned. */
export function rxRequestGref(words: Int32Array, at: number): number {
  return (words[at + 1] ?? 0) >>> 0;
}

/** @param status bytes of data in this slot, or a negative {@link RxStatus}. */
export function writeRxResponse(
  words: Int32Array,
  at: number,
  id: number,
  offset: number,
  flags: number,
  status: number,
): void {
  words[at] = (id & 0xffff) | (offset << 16);
  words[at + 1] = (flags & 0xffff) | (status << 16);
}
export function rxResponseId(first: number): number {
  return first & 0xffff;
}
export function rxResponseOffset(first: number): number {
  return first >>> 16;
}
export function rxResponseFlags(second: number): number {
  return second & 0xffff;
}
export function rxResponseStatus(second: number): number {
  return second >> 16;
}
