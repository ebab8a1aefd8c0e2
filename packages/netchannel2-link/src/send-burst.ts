import { LARGEST_FRAME, LARGEST_PREFIX, type UringProducer } from '@netchannel2/netchannel2';
import {
  type Frame,
  FrameChecksum,
  FrameSegmentation,
  type LeasedPage,
  NO_GRANT_REF,
} from '@netchannel2/xen';
import { MOST_NOTED, NOTE_WORDS } from './link-block';
import type { SendGate } from './send-gate';
import type { SubPageBooks } from './sub-page-books';

/** Where packets are noted, see `NotedPieces`. */
interface Notes {
  readonly words: Int32Array;
  /** Words written. */
  length: number;
  /** They may be written. */
  readonly here: boolean;
}

/** Of the packets in one piece: bytes of a message, and of the ring that stay free behind it. */
interface Places {
  readonly size: number;
  readonly reserve: number;
}

/**
 * Takes many frames in one piece at once, as `NotedPieces.addUsual` does one: how many there is room for is asked once, and ids
 * and places in the ring are counted on from one to the next.
 */
export class SendBurst {
  private readonly pages: (LeasedPage | undefined)[];
  private readonly refs: Int32Array;

  constructor(
    private readonly producer: UringProducer,
    private readonly places: Places,
    private readonly books: SubPageBooks,
    private readonly notes: Notes,
  ) {
    this.pages = books.pages;
    this.refs = books.refs;
  }

  /**
   * Takes frames from `frames[start]` on until one is not in one piece and without offloads, or has no room, or `gate` is closed.
   * Nobody else may write meanwhile: frames are others' objects.
   *
   * @returns the index behind the last that was taken.
   */
  take(frames: readonly (Frame | Uint8Array)[], start: number, end: number, gate: SendGate): number {
    const { producer, notes, pages, refs } = this;
    const { size } = this.places;
    const { words: noted } = notes;
    const { ids } = this.books;
    const { words, openMark, top } = ids;
    const { left } = gate;
    const limit = start + Math.min(left, end - start, this.room());
    let at = producer.nextWord << 2;
    let index = start;
    try {
      for (; index < limit; index += 1) {
        const frame = frames[index] as Frame;
        const length = frame.byteLength;
        if (
          frame.fragmentCount !== 1 ||
          frame.checksum !== FrameChecksum.unknown ||
          frame.segmentation !== FrameSegmentation.none ||
          length <= LARGEST_PREFIX ||
          length > LARGEST_FRAME
        )
          break;
        const page = frame.fragmentPage(0);
        const offset = frame.fragmentOffset(0);
        const id = words[top - 1 - (index - start)] as number;
        if (refs[id] === NO_GRANT_REF) break;
        page.acquire();
        // A frame that ended the link when it was asked has closed the gate.
        if (gate.left !== left) {
          page.release();
          break;
        }
        words[id] = openMark;
        pages[id] = page;
        // Read each time: whoever was asked may have had the notes written.
        const note = notes.length;
        noted[note] = at;
        noted[note + 1] = page.base + offset;
        noted[note + 2] = id | (length << 16);
        noted[note + 3] = page.frame;
        notes.length = note + NOTE_WORDS;
        at += size;
      }
    } finally {
      const count = index - start;
      ids.taken(count);
      producer.commit(count * size);
      if (gate.left === left) gate.left = left - count;
      else gate.count(count);
    }
    return index;
  }

  /** Frames there is room for, but for the last id: that packet wants an event. */
  private room(): number {
    const { producer, notes, books } = this;
    const { size, reserve } = this.places;
    if (!notes.here) return 0;
    const adjacent = (producer.adjacentBytes(reserve) / size) | 0;
    return Math.max(0, Math.min(MOST_NOTED - notes.length / NOTE_WORDS, adjacent, books.ids.free - 1));
  }
}
