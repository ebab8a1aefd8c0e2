import { type LeasedPage, NO_GRANT_REF } from '@netchannel2/xen';
import type { GrantLists } from './grant-lists';
import { MOST_NOTED, NOTE_WORDS } from './link-block';
import type { SubPageBooks } from './sub-page-books';

/** Bytes of a publication in its list. */
const PUBLICATION_BYTES = 16;
/** Beside the address of a message: its packet wants an event. */
const WANTS_EVENT = 1;

/**
 * Packets in one piece whose place in the ring is taken, and which a kernel writes with their grants before the peer is shown
 * any of them: a run costs one call. Their pages are leased, so that their bytes are there until then.
 */
export class NotedPieces {
  private length = 0;
  private readonly notes: Int32Array;
  private prefix = 0;
  private kind = 0;
  private candidate = 0;

  constructor(
    private readonly books: SubPageBooks,
    private readonly lists: GrantLists,
  ) {
    this.notes = lists.block.notes;
  }

  /**
   * What all of them have.
   *
   * @param prefix inline bytes, 1 or more. @param kind the third word of the message. @param candidate what that has more where
   * the frame goes to one station.
   */
  setShape(prefix: number, kind: number, candidate: number): void {
    this.prefix = prefix;
    this.kind = kind;
    this.candidate = candidate;
  }

  /**
   * Takes an id for a packet whose lease is the id's then.
   *
   * @param offset of the frame in the page. @param length of the frame, more than the prefix.
   * @param at address of the message's place.
   * @returns -1 where there is no id or no reference.
   */
  add(page: LeasedPage, offset: number, length: number, at: number): number {
    const { books, notes } = this;
    const { ids } = books;
    if (!this.lists.block.here) return -1;
    const id = ids.take();
    if (id < 0) return -1;
    if (books.reference(id) === NO_GRANT_REF) {
      ids.put(id);
      return -1;
    }
    books.pages[id] = page;
    books.counts[id] = 1;
    if (this.length === MOST_NOTED) this.write();
    const note = this.length * NOTE_WORDS;
    notes[note] = ids.free === 0 ? at | WANTS_EVENT : at;
    notes[note + 1] = page.base + offset;
    notes[note + 2] = id | ((length - this.prefix) << 16);
    notes[note + 3] = page.frame;
    this.length += 1;
    return id;
  }

  /** Writes what is noted; the grants are to be published. */
  write(): void {
    const { length, lists, prefix } = this;
    if (length === 0) return;
    this.length = 0;
    const { block, publications } = lists;
    // Who has no pages any more has no ring either.
    if (!block.here) return;
    if (publications.length + length > publications.capacity) publications.publish();
    const list = lists.publicationBase + publications.length * PUBLICATION_BYTES;
    block.kernel.writePieces(block.base, length, list, prefix, this.kind, this.candidate);
    publications.append?.(length);
    block.countCopied(prefix * length);
  }
}
