/**
 * How a guest writes its own entries (spec grant-tables.md §5): in the order that makes an entry live as a whole, and
 * back out of use only by an answer that can be trusted.
 *
 * @packageDocumentation
 */
import { V1_FRAME, V2_FRAME, V2_RANGE } from '../layout/entries';
import { GTF_in_use } from '../layout/entry-flags';

/**
 * The hot operations. Entries are indices of their first 32-bit word, status words indices among 16-bit words of
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
  /**
   * {@link publishV1} for each of a run.
   *
   * @param list index of the word where the run lies, `PUBLICATION_WORDS` for each: entry, range, frame, header.
   */
  publishRunV1(list: number, count: number): void;
  /** {@link publishV2} for each of a run. */
  publishRunV2(list: number, count: number): void;
  /**
   * {@link revokeV1} for numbers `first` … `count` - 1 of a run, up to one in use.
   *
   * @param list index of the word where the run lies, `REVOCATION_WORDS` for each: entry, status.
   * @returns the number of the first in use, `count` when there is none.
   */
  revokeRunV1(list: number, first: number, count: number): number;
  /** {@link revokeV2} for all of them, and what {@link revokeRunV1} answers. */
  revokeRunV2(list: number, first: number, count: number): number;
}

/** Words of a publication in a run. */
export const PUBLICATION_WORDS = 4;
/** Words of a revocation in a run. */
export const REVOCATION_WORDS = 2;

/** The operations by `Atomics`: what a kernel must do, in words. */
export function atomicEntryAccess(words: Int32Array, halfwords: Uint16Array): EntryAccess {
  const single = atomicSingleAccess(words, halfwords);
  const word = (index: number) => words[index] as number;
  return {
    ...single,
    publishRunV1(list, count) {
      for (let at = list; at < list + count * PUBLICATION_WORDS; at += PUBLICATION_WORDS)
        single.publishV1(word(at), word(at + 2), word(at + 3));
    },
    publishRunV2(list, count) {
      for (let at = list; at < list + count * PUBLICATION_WORDS; at += PUBLICATION_WORDS)
        single.publishV2(word(at), word(at + 1), word(at + 2), word(at + 3));
    },
    revokeRunV1(list, first, count) {
      let number = first;
      while (number < count && single.revokeV1(word(list + number * REVOCATION_WORDS)) === 1) number++;
      return number;
    },
    revokeRunV2(list, first, count) {
      let number = first;
      for (; number < count; number++) {
        const at = list + number * REVOCATION_WORDS;
        if (single.revokeV2(word(at), word(at + 1)) === 0) break;
      }
      return number;
    },
  };
}

type SingleAccess = Pick<EntryAccess, 'publishV1' | 'publishV2' | 'revokeV1' | 'revokeV2'>;

function atomicSingleAccess(words: Int32Array, halfwords: Uint16Array): SingleAccess {
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
