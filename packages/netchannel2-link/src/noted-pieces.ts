import { NO_SPACE, packetSize, type UringProducer } from '@netchannel2/netchannel2';
import { type LeasedPage, NO_GRANT_REF } from '@netchannel2/xen';
import type { FramePieces } from './frame-pieces';
import type { GrantLists } from './grant-lists';
import { type LinkBlock, MOST_NOTED, NOTE_WORDS } from './link-block';
import type { PacketIds } from './packet-ids';
import { SendBurst } from './send-burst';
import type { SubPageBooks } from './sub-page-books';

/** Beside the address of a message: its packet wants an event; so many further pieces its frame has. */
const WANTS_EVENT = 1;
const FURTHER_SHIFT = 1;
const MOST_WORDS = MOST_NOTED * NOTE_WORDS;

/** What all packets of a link have whose pieces are noted. */
export interface PieceShape {
  /** Inline bytes, 1 or more. */
  readonly prefix: number;
  /** The third word of the message. */
  readonly kind: number;
  /** What that has more where the frame goes to one station. */
  readonly candidate: number;
  /** Bytes of the message of a packet in one piece. */
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
 * Packets in a few pieces whose place in the ring is taken, and which a kernel writes with their grants before the peer is shown
 * any of them, and counts: a run costs one call. Their pages are leased, so that their bytes are there until then.
 */
export class NotedPieces {
  /** Words written to {@link words}. */
  length = 0;
  /** The packets, see {@link NOTE_WORDS}. To be written only while they are {@link here}. */
  readonly words: Int32Array;
  /** Takes many frames at once. */
  readonly burst: SendBurst;
  /** Pieces of the packets noted, but for the first of each. */
  private more = 0;
  private readonly further: Int32Array;
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
    this.words = lists.block.notes;
    this.further = lists.block.further;
    this.ids = books.ids;
    this.pages = books.pages;
    this.refs = books.refs;
    this.size = shape.size;
    this.reserve = shape.reserve;
    this.burst = new SendBurst(producer, shape, books, this);
  }

  get here(): boolean {
    return this.block.here;
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

  /**
   * As {@link add}, of a packet in several pieces; the leases are the id's then.
   *
   * @param least so many ids are to be free.
   */
  addSeveral(pieces: FramePieces, least: number): number {
    const { ids, books } = this;
    if (ids.free < least) return PIECE_FULL;
    if (!this.block.here) return PIECE_STARVED;
    if (this.length === MOST_WORDS) this.write();
    const id = ids.takeFree();
    const starved = !this.refer(id, pieces.count);
    const at = starved ? NO_SPACE : this.producer.take(this.sizeOf(pieces.count), this.reserve);
    if (at === NO_SPACE) {
      ids.putOpen(id);
      return starved ? PIECE_STARVED : PIECE_FULL;
    }
    this.putSeveral(ids.free === 0 ? at | WANTS_EVENT : at, id, pieces);
    books.counts[id] = pieces.count;
    return id;
  }

  /** Bytes of the message of a packet in `count` pieces. */
  sizeOf(count: number): number {
    return packetSize(count, this.shape.prefix);
  }

  /** Has references for so many grants of packet `id`. @returns `false` when there are no more. */
  private refer(id: number, count: number): boolean {
    const { books } = this;
    for (let part = 0; part < count; part += 1)
      if (books.reference(books.slot(id, part)) === NO_GRANT_REF) return false;
    return true;
  }

  private putSeveral(at: number, id: number, { count, pages, offsets, lengths }: FramePieces): void {
    const { books, further, length: note } = this;
    const [first] = pages;
    if (first === undefined) return;
    for (let part = 1, word = note; part < count; part += 1, word += 2) {
      const page = pages[part];
      this.pages[books.slot(id, part)] = page;
      further[word] = (lengths[part] as number) | ((offsets[part] as number) << 16);
      further[word + 1] = page?.frame ?? 0;
    }
    this.more += count - 1;
    this.put(at | ((count - 1) << FURTHER_SHIFT), id, first, offsets[0] as number, lengths[0] as number);
  }

  /** @param at address of the message, and what is beside it. @param length of the first piece. */
  private put(at: number, id: number, page: LeasedPage, offset: number, length: number): void {
    const { words: notes, length: note } = this;
    this.pages[id] = page;
    notes[note] = at;
    notes[note + 1] = page.base + offset;
    notes[note + 2] = id | (length << 16);
    notes[note + 3] = page.frame;
    this.length = note + NOTE_WORDS;
  }

  /** Writes what is noted; the grants are to be published. */
  write(): void {
    const { length, more, lists, block, shape } = this;
    if (length === 0) return;
    this.length = 0;
    this.more = 0;
    // Who has no pages any more has no ring either.
    if (!block.here) return;
    const { publications } = lists;
    const count = length / NOTE_WORDS;
    const list = lists.nextPublications(count + more);
    const { counters } = this;
    const { kernel, base } = block;
    const { prefix, kind, candidate } = shape;
    counters.framesSent += count;
    counters.bytesSent +=
      more === 0
        ? kernel.writePieces(base, count, list, prefix, kind, candidate)
        : kernel.writeSeveral(base, count, list, prefix, kind, candidate);
    publications.append?.(count + more);
    block.countCopied(prefix * count);
  }
}
