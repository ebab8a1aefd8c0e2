/**
 * The control page of a pair of byte rings (`uring.h`, spec `vif2.md` §2.1): two structs of four indices, one per ring.
 *
 * @packageDocumentation
 */
import { type MemoryArea, PAGE_SIZE } from '@netchannel2/xen';

/** Byte offset of ring A's struct: the end that provides the memory produces on it. */
export const RING_A = 0;
/** Byte offset of ring B's struct: the end that maps the memory produces on it. */
export const RING_B = 64;
export type RingStruct = typeof RING_A | typeof RING_B;

/** Word offsets inside one struct. */
export const PROD = 0;
export const CONS = 1;
export const PROD_EVENT = 2;
export const CONS_EVENT = 3;

/** Which struct an end produces on and which it consumes from. */
export interface RingView {
  readonly produce: RingStruct;
  readonly consume: RingStruct;
}

/** The end whose memory backs the rings. */
export const FRONTEND_VIEW: RingView = { produce: RING_A, consume: RING_B };
/** The end that maps them. */
export const BACKEND_VIEW: RingView = { produce: RING_B, consume: RING_A };

/** Word index of a struct's first index in the words of `control`. */
export function ringStructWord(control: MemoryArea, struct: RingStruct): number {
  return (control.base + struct) >> 2;
}

/**
 * First contents, written before the page is granted: all indices 0 and both `prod_event` 1, without which the first flush
 * from 0 would never notify.
 */
export function initialiseControlPage(control: MemoryArea): void {
  const first = control.base >> 2;
  control.words.fill(0, first, first + PAGE_SIZE / 4);
  control.words[ringStructWord(control, RING_A) + PROD_EVENT] = 1;
  control.words[ringStructWord(control, RING_B) + PROD_EVENT] = 1;
}

/**
 * What a backend checks before it attaches (spec §8.2 #3): nothing may have happened yet but a start-up burst on ring A.
 *
 * @param ringBytes payload bytes of one ring.
 * @returns what is wrong, or `undefined`.
 */
export function freshControlPageFault(control: MemoryArea, ringBytes: number): string | undefined {
  const a = ringStructWord(control, RING_A);
  const b = ringStructWord(control, RING_B);
  const words = control.words;
  const produced = Atomics.load(words, a + PROD) >>> 0;
  if (produced > ringBytes || produced % 8 !== 0) return `ring A starts with prod ${produced}`;
  if (Atomics.load(words, a + CONS) !== 0) return 'ring A was consumed from before';
  if (Atomics.load(words, b + PROD) !== 0) return 'ring B was produced on before';
  if (Atomics.load(words, b + CONS) !== 0) return 'ring B was consumed from before';
  return undefined;
}
