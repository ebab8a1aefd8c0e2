/**
 * The event test both ends of a ring use (spec `vif2.md` §2.3).
 *
 * @packageDocumentation
 */

/**
 * Whether moving an index from `old` to `moved` crosses the threshold `event`: from strictly below it to it or above,
 * modulo 2^32. Arguments are 32-bit, signed or unsigned.
 */
export function crossesEvent(old: number, moved: number, event: number): boolean {
  return (moved - event) >>> 0 < (moved - old) >>> 0;
}
