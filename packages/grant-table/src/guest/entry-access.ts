/**
 * How a guest writes its own entries (spec grant-tables.md §5): in the order that makes an entry live as a whole, and
 * back out of use only by an answer that can be trusted.
 *
 * @packageDocumentation
 */
import { V1_FRAME, V2_FRAME, V2_RANGE } from '../layout/entries';
import { GTF_in_use } from '../layout/entry-flags';

/**
 * The four hot operations. Entries are indices of their first 32-bit word, status words indices among 16-bit words of
 * the machine memory. A machine may have kernels for them.
 */
export interface EntryAccess {
  /** The frame, then the header. */
  publishV1(entry: number, frame: number, header: number): void;
  /**
   * The fields, then the header.
   *
   * @param range word 1: `page_off | length << 16`, or the transitive grant's domain.
   * @param frame word 2: the frame, or the transitive grant's reference. Word 3 becomes 0.
   */
  publishV2(entry: number, range: number, frame: number, header: number): void;
  /** Clears the flags unless a peer uses the entry, which then stays as it is. @returns 1 when cleared, else 0. */
  revokeV1(entry: number): number;
  /** Clears the flags, then looks at the status. @returns 1 when nobody uses the grant any more, else 0. */
  revokeV2(entry: number, status: number): number;
}

/** The operations by `Atomics`: what a kernel must do, in words. */
export function atomicEntryAccess(words: Int32Array, halfwords: Uint16Array): EntryAccess {
  return {
    publishV1(entry, frame, header) {
      words[entry + V1_FRAME] = frame;
      Atomics.store(words, entry, header);
    },
    publishV2(entry, range, frame, header) {
      words[entry + V2_RANGE] = range;
      words[entry + V2_FRAME] = frame;
      words[entry + V2_FRAME + 1] = 0;
      Atomics.store(words, entry, header);
    },
    revokeV1(entry) {
      for (;;) {
        const header = Atomics.load(words, entry);
        if ((header & GTF_in_use) !== 0) return 0;
        // The domain stays: only flags are cleared, as by the 16-bit exchange of a classic guest.
        if (Atomics.compareExchange(words, entry, header, header & ~0xffff) === header) return 1;
      }
    },
    revokeV2(entry, status) {
      Atomics.store(words, entry, 0);
      return (Atomics.load(halfwords, status) & GTF_in_use) === 0 ? 1 : 0;
    },
  };
}
