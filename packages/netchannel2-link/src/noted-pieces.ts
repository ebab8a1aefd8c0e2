import { NO_SPACE, type UringProducer } from '@netchannel2/netchannel2';
import { type LeasedPage, NO_GRANT_REF } from '@netchannel2/xen';
import type { GrantLists } from './grant-lists';
import { type LinkBlock, MOST_NOTED, NOTE_WORDS } from './link-block';
import type { PacketIds } from './packet-ids';
import type { SubPageBooks } from './sub-page-books';

/** Beside the address of a message: its packet wants an event. */
const WANTS_EVENT = 1;
const MOST_WORDS = MOST_NOTED * NOTE_WORDS;

/** What all packets in one piece of a link have. */
export interface PieceShape {
  /** Inline bytes, 1 or more. */
  readonly prefix: number;
  /** The third word of the message. */
  readonly kind: number;
  /** What that has more where the frame goes to one station. */
  readonly candidate: number;
  /** Bytes of the message. */
  readonly size: number;
  /** Bytes of the ring that stay free behind it. */
  readonly reserve: number;
}

/** Where what was sent is counted. */
export interface SentCounters {
  framesSent: number;
  bytesSent: number;
}

/** What {@link NotedPieces.add} answers where there is no reference, and no room or id. */
export const PIECE_STARVED = -1;
export const PIECE_FULL = -2;

/**
 * Packets in one piece whose place in the ring is taken, and which a kernel writes with their grants before the peer is shown
 * any of them, and counts: a run costs one call. Their pages are leased, so that their bytes are there until then.
 */
export class NotedPieces {
  /** Words written to {@link notes}. */
  private length = 0;
  private readonly notes: Int32Array;
  private readonly block: LinkBlock;
  private readonly ids: PacketIds;
  private readonly pages: (LeasedPage | undefined)[];
  private readonly refs: Int32Array;
  private readonly size: number;
  private readonly reserve: number;

  constructor(
    private readonly producer: UringProducer,
    private readonly counters: SentCounters,
    private readonly shape: PieceShape,
    private readonly books: SubPageBooks,
    private readonly lists: GrantLists,
  ) {
    this.block = lists.block;
    this.notes = lists.block.notes;
    this.ids = books.ids;
    this.pages = books.pages;
    this.refs = books.refs;
    this.size = shape.size;
    this.reserve = shape.reserve;
  }

  /**
   * Takes an id and a place in the ring for a packet; the caller's lease of its page is the id's then.
   *
   * @param offset of the frame in the page. @param length of the frame, more than the prefix.
   * @returns the id, {@link PIECE_STARVED} or {@link PIECE_FULL}.
   */
  add(page: LeasedPage, offset: number, length: number): number {
    const { ids, books } = this;
    if (ids.free === 0) return PIECE_FULL;
    if (!this.block.here) return PIECE_STARVED;
    if (this.length === MOST_WORDS) this.write();
    const id = ids.takeFree();
    const starved = books.reference(id) === NO_GRANT_REF;
    const at = starved ? NO_SPACE : this.producer.take(this.size, this.reserve);
    if (at === NO_SPACE) {
      ids.putOpen(id);
      return starved ? PIECE_STARVED : PIECE_FULL;
    }
    this.put(ids.free === 0 ? at | WANTS_EVENT : at, id, page, offset, length);
    return id;
  }

  /**
   * As {@link add}, of most packets: fewer than {@link MOST_NOTED} are noted.
   *
   * @returns `false` where it takes more than that: nothing was taken.
   */
  addUsual(page: LeasedPage, offset: number, length: number): boolean {
    const { ids } = this;
    // The last one wants an event.
    if (ids.free < 2 || !this.block.here) return false;
    const id = ids.takeFree();
    const at = this.refs[id] === NO_GRANT_REF ? NO_SPACE : this.producer.take(this.size, this.reserve);
    if (at === NO_SPACE) {
      ids.putOpen(id);
      return false;
    }
    this.put(at, id, page, offset, length);
    return true;
  }

  /** @param at address of the message, and {@link WANTS_EVENT} where that is so. */
  private put(at: number, id: number, page: LeasedPage, offset: number, length: number): void {
    const { notes, length: note } = this;
    this.pages[id] = page;
    notes[note] = at;
    notes[note + 1] = page.base + offset;
    notes[note + 2] = id | (length << 16);
    notes[note + 3] = page.frame;
    this.length = note + NOTE_WORDS;
  }

  /** Writes what is noted; the grants are to be published. */
  write(): void {
    const { length, lists, block, shape } = this;
    if (length === 0) return;
    this.length = 0;
    // Who has no pages any more has no ring either.
    if (!block.here) return;
    const { publications } = lists;
    const count = length / NOTE_WORDS;
    const list = lists.nextPublications(count);
    const { counters } = this;
    counters.framesSent += count;
    counters.bytesSent += block.kernel.writePieces(
      block.base,
      count,
      list,
      shape.prefix,
      shape.kind,
      shape.candidate,
    );
    publications.append?.(count);
    block.countCopied(shape.prefix * count);
  }
}
