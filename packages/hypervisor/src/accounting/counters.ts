/**
 * What a domain's own thread counts: doubles in the domain's block with a single writer, so counting is a plain add.
 */
import { Block } from '../domains/domain-block';

export const Counter = {
  cpuNanoseconds: 0,
  grantsPublished: 1,
  grantsRevoked: 2,
  /** By the domain's own copies in machine memory; grant copies are counted by the grant table. */
  bytesCopied: 3,
  notifications: 4,
  /** Other than grant-table ones. */
  hypercalls: 5,
} as const;

/** Index of the first counter of a block in the machine's `doubles`. */
export function counterBase(block: number): number {
  return (block + Block.counters) >>> 1;
}

/** Counters of nobody, in the machine's header: what is left of a domain that has ended counts there. */
export const SCRATCH_COUNTERS = 256;
