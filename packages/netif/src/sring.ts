/**
 * Layout of a vif ring page (`io/ring.h`, spec vif.md §1): a header of 64 bytes, then slots that hold a request and later,
 * in the same place, a response.
 *
 * Word offsets are counted in 32-bit words from the first word of the page.
 *
 * @packageDocumentation
 */

/** Next request index the frontend will publish. */
export const REQ_PROD = 0;
/** Request index at whose arrival the backend wants an event. */
export const REQ_EVENT = 1;
/** Next response index the backend will publish. */
export const RSP_PROD = 2;
/** Response index at whose arrival the frontend wants an event. */
export const RSP_EVENT = 3;
/** First word of slot 0. */
export const SLOTS = 16;

const PAGE_BYTES = 4096;
const HEADER_BYTES = SLOTS * 4;

/** Size and number of the slots of one kind of ring. */
export interface RingGeometry {
  /** 32-bit words of a slot. */
  readonly slotWords: number;
  /** Slots of the ring, a power of two. */
  readonly slotCount: number;
}

/**
 * Largest power of two of slots of `slotBytes` bytes that fit a page behind the header. Shifted and not raised: what `**`
 * answers stays a floating-point number in V8, and so would all indices masked with it.
 */
export function slotsPerPage(slotBytes: number): number {
  return 1 << Math.floor(Math.log2((PAGE_BYTES - HEADER_BYTES) / slotBytes));
}

/** Guest to backend: requests of 12 bytes, responses of 4, 256 slots. */
export const TX_RING: RingGeometry = { slotWords: 3, slotCount: slotsPerPage(12) };
/** Backend to guest: requests and responses of 8 bytes, 256 slots. */
export const RX_RING: RingGeometry = { slotWords: 2, slotCount: slotsPerPage(8) };
/** Control messages: requests of 16 bytes, responses of 12, 128 slots. */
export const CTRL_RING: RingGeometry = { slotWords: 4, slotCount: slotsPerPage(16) };

/** Frontend: makes an empty ring of a page: zeroes, and both events at 1 so that the first push notifies. */
export function initialiseRing(words: Int32Array, pageWord: number): void {
  words.fill(0, pageWord, pageWord + PAGE_BYTES / 4);
  words[pageWord + REQ_EVENT] = 1;
  words[pageWord + RSP_EVENT] = 1;
}

/**
 * Whether a producer that moved its index from `before` to `after` owes the consumer an event: the event index lies in
 * `(before, after]`, in 32-bit arithmetic that wraps.
 */
export function notificationDue(before: number, after: number, event: number): boolean {
  return (after - event) >>> 0 < (after - before) >>> 0;
}
