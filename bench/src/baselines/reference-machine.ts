/**
 * How fast the machine moved bytes on which the project's bars, in frames per second, were set: nanoseconds a copy. Bars are
 * absolute and machines are not: where a row of the yardstick says `0.50 x reference`, copying takes twice as long here, and a
 * path that spends its time on copies can be expected to reach half as many frames per second as there.
 *
 * C's `memcpy` took 28 ns there for 1514 bytes and 10 ns for 64; Node has no way to call it, so it has no row.
 */

export const YARDSTICK_BYTES = [64, 1514] as const;

/** Ways to move bytes. */
export type Mover = 'kernel' | 'copy-within' | 'set-subarray';

export const REFERENCE_NANOSECONDS: Readonly<
  Record<(typeof YARDSTICK_BYTES)[number], Readonly<Record<Mover, number>>>
> = {
  64: { kernel: 8, 'copy-within': 25, 'set-subarray': 39 },
  1514: { kernel: 30, 'copy-within': 99, 'set-subarray': 118 },
};
