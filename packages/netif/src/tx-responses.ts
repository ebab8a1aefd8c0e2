import type { BackRing } from './back-ring';
import { TxStatus, writeTxResponse } from './tx-slot';

/**
 * Writes the response to a group's first slot and the NULL responses that answer its extra slots, which follow directly.
 * Publishing is the caller's.
 */
export function answerFirstSlot(ring: BackRing, id: number, status: TxStatus, extraCount: number): void {
  answerSlot(ring, id, status);
  for (let extra = 0; extra < extraCount; extra += 1) answerSlot(ring, id, TxStatus.none);
}

/** Writes the response to one data slot. */
export function answerSlot(ring: BackRing, id: number, status: TxStatus): void {
  writeTxResponse(ring.words, ring.slot(ring.responseIndex), id, status);
  ring.responseIndex = (ring.responseIndex + 1) | 0;
}
