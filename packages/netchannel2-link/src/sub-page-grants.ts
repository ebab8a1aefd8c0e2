import { type UringProducer, writePacketFragment } from '@netchannel2/netchannel2';
import {
  type DomainId,
  type Frame,
  type GrantEntries,
  type GrantedFrame,
  type GrantPublications,
  type GrantRef,
  type LeasedPage,
  NO_GRANT_REF,
} from '@netchannel2/xen';
import type { SchedulerLike } from 'rxjs';
import { GrantLists } from './grant-lists';
import { FORWARD_WORDS, type LinkBlock } from './link-block';
import { NotedPieces, type PieceShape, type SentCounters } from './noted-pieces';
import {
  COPY_DEADLINE,
  type ExactGrants,
  FinishOutcome,
  FORWARD_DEADLINE,
  type PacketGrants,
} from './packet-grants';
import { IdState } from './packet-ids';
import type { ParkedPackets } from './parked-packets';
import { SubPageBooks } from './sub-page-books';
import { MOST_GRANTS, MOST_IN_RUN, SubPageClosing } from './sub-page-closing';

/**
 * Every fragment is granted exactly, read-only and copy-only, where it lies, in a page of ours or a third domain's. A packet in
 * one piece costs one entry write to send and one to finish; entries become live, and are withdrawn, in runs.
 */
export class SubPageGrants implements PacketGrants, ExactGrants {
  private readonly books: SubPageBooks;
  private readonly closing: SubPageClosing;
  /** Granted, and not to be reached yet. */
  private readonly publications: GrantPublications | undefined;
  private readonly lists: GrantLists | undefined;
  private pieces: NotedPieces | undefined;
  /** Ids set aside for a run. */
  private opened = 0;
  /** Address of the publications of their grants. */
  runList = 0;
  /** Which references of each were allocated just now: a bit for each part. */
  private readonly fresh = new Uint8Array(MOST_IN_RUN);

  /** @param block shared with kernels, where there are some. */
  constructor(
    private readonly entries: GrantEntries,
    private readonly peer: DomainId,
    capacity: number,
    scheduler: SchedulerLike,
    block?: LinkBlock | undefined,
  ) {
    const publications = entries.createPublications(MOST_GRANTS);
    const revocations = entries.createRevocations(MOST_GRANTS);
    const lists = GrantLists.create(block, peer, publications, revocations);
    this.publications = publications;
    this.lists = lists;
    this.books = new SubPageBooks(entries, capacity, scheduler, block, lists);
    this.closing = new SubPageClosing(entries, this.books, revocations);
  }

  get exact(): ExactGrants {
    return this;
  }

  notePieces(producer: UringProducer, counters: SentCounters, shape: PieceShape): NotedPieces | undefined {
    const { lists } = this;
    if (lists !== undefined) this.pieces = new NotedPieces(producer, counters, shape, this.books, lists);
    return this.pieces;
  }

  publish(): void {
    const { publications } = this;
    this.pieces?.write();
    if (publications !== undefined && publications.length > 0) publications.publish();
  }

  get free(): number {
    return this.books.ids.free;
  }

  get capacity(): number {
    return this.books.ids.capacity;
  }

  get unfinished(): number {
    return this.books.ids.open;
  }

  fragmentsOf(frame: Frame, skip: number): number {
    const count = frame.fragmentCount;
    if (count === 1) return 1;
    let first = 0;
    for (let left = skip; first < count; first += 1) {
      const length = frame.fragmentLength(first);
      if (left < length) break;
      left -= length;
    }
    return count - first;
  }

  grant(frame: Frame, skip: number, words: Int32Array, at: number): number {
    const id = this.books.ids.take();
    if (id < 0) return -1;
    const count = frame.fragmentCount;
    let left = skip;
    let written = 0;
    for (let index = 0; index < count; index += 1) {
      const size = frame.fragmentLength(index);
      if (left >= size) {
        left -= size;
        continue;
      }
      const offset = frame.fragmentOffset(index) + left;
      const length = size - left;
      const ref = this.open(this.books.slot(id, written), frame.fragmentPage(index), offset, length);
      if (ref === NO_GRANT_REF) return this.giveUp(id, written);
      writePacketFragment(words, at, written, length, offset, ref);
      written += 1;
      left = 0;
    }
    this.books.setCount(id, written);
    return id;
  }

  grantPage(page: LeasedPage, offset: number, length: number): number {
    const id = this.books.ids.take();
    if (id < 0) return -1;
    if (this.open(id, page, offset, length) === NO_GRANT_REF) return this.giveUp(id, 0);
    this.books.setCount(id, 1);
    return id;
  }

  firstRef(id: number): GrantRef {
    return this.books.refs[id] as GrantRef;
  }

  /** Grants a piece of a page of ours. @returns its reference, or {@link NO_GRANT_REF} when there are no more. */
  private open(slot: number, page: LeasedPage, offset: number, length: number): GrantRef {
    const ref = this.books.reference(slot);
    if (ref === NO_GRANT_REF) return NO_GRANT_REF;
    const { publications } = this;
    if (publications === undefined)
      this.entries.publishSubPage(ref, this.peer, page.frame, offset, length, true);
    else {
      if (publications.length === MOST_GRANTS) publications.publish();
      publications.addSubPage(ref, this.peer, page.frame, offset, length, true);
    }
    page.acquire();
    this.books.pages[slot] = page;
    return ref;
  }

  acceptsGranted(frame: GrantedFrame): boolean {
    return this.books.credit.allows(frame.owner);
  }

  grantOn(frame: GrantedFrame, words: Int32Array, at: number): number {
    const { books } = this;
    const id = books.ids.take();
    if (id < 0) return -1;
    const { owner, fragmentCount } = frame;
    for (let index = 0; index < fragmentCount; index += 1) {
      const ref = books.reference(books.slot(id, index));
      if (ref === NO_GRANT_REF) return this.giveUp(id, index);
      this.grantThrough(ref, owner, frame.fragmentRef(index));
      writePacketFragment(words, at, index, frame.fragmentLength(index), frame.fragmentOffset(index), ref);
    }
    books.setCount(id, fragmentCount);
    books.hold(id, owner, frame.hold());
    return id;
  }

  private grantThrough(ref: GrantRef, owner: DomainId, ownerRef: GrantRef): void {
    const { publications } = this;
    if (publications === undefined) {
      this.entries.publishTransitive(ref, this.peer, owner, ownerRef, true);
      return;
    }
    if (publications.length === MOST_GRANTS) publications.publish();
    publications.addTransitive(ref, this.peer, owner, ownerRef, true);
  }

  finish(id: number, obtained: boolean): FinishOutcome {
    // Who finishes what it was not shown yet must not find it granted afterwards.
    this.publish();
    return this.closing.finish(id, obtained);
  }

  openFinishes(): boolean {
    if (this.lists === undefined) return false;
    this.publish();
    this.closing.settle();
    return true;
  }

  get finishesAt(): number {
    return this.lists?.revocationBase ?? 0;
  }

  closeFinishes(count: number): FinishOutcome {
    const { lists } = this;
    return lists === undefined ? FinishOutcome.done : this.closing.finishRun(lists.block, count);
  }

  settle(): FinishOutcome {
    return this.closing.settle();
  }

  get runBlock(): number {
    return this.lists?.block.base ?? 0;
  }

  openRun(block: LinkBlock, owner: DomainId, most: number, parts: number): number {
    const { books, lists } = this;
    if (!block.here || lists?.block.here !== true) return 0;
    const { ids } = books;
    // The last credit asks for an urgent FINISH, which packets of a run do not.
    const wanted = Math.min(most, books.credit.left(owner), ids.free - 1, MOST_IN_RUN);
    const { forwards } = block;
    let count = 0;
    for (; count < wanted; count += 1) {
      const id = ids.take();
      if (!this.refer(count, id, parts)) {
        this.putBack(count, id);
        break;
      }
      forwards[count * FORWARD_WORDS] = id;
    }
    this.opened = count;
    if (count > 0) this.runList = lists.nextPublications(count * parts);
    return count;
  }

  /** Has references for the first `parts` grants of packet `id`, number `index` of a run. @returns `false` when there are no more. */
  private refer(index: number, id: number, parts: number): boolean {
    const { books, fresh } = this;
    fresh[index] = 0;
    for (let part = 0; part < parts; part += 1) {
      const slot = books.slot(id, part);
      if (books.refs[slot] !== NO_GRANT_REF) continue;
      if (books.reference(slot) === NO_GRANT_REF) return false;
      fresh[index] = (fresh[index] as number) | (1 << part);
    }
    return true;
  }

  /** Packet `id`, number `index` of a run, is not needed: what was allocated for nothing goes back. */
  private putBack(index: number, id: number): void {
    const { books, fresh } = this;
    const parts = fresh[index] as number;
    for (let part = 0; parts >> part > 0; part += 1)
      if (((parts >> part) & 1) === 1) books.freeReference(books.slot(id, part));
    books.ids.putOpen(id);
  }

  closeRun(block: LinkBlock, parked: ParkedPackets, owner: DomainId, pieces: number): void {
    const { books } = this;
    const { forwards } = block;
    for (let index = this.opened - 1; index >= pieces; index -= 1)
      this.putBack(index, forwards[index * FORWARD_WORDS] as number);
    this.opened = 0;
    if (pieces === 0) return;
    this.publications?.append?.(block.grants);
    const { counts, forwarded } = books;
    // The kernel has said already that it may take their FINISHes.
    for (let index = 0, at = 0; index < pieces; index += 1, at += FORWARD_WORDS) {
      const id = forwards[at] as number;
      counts[id] = forwards[at + 1] as number;
      forwarded.add(id, parked, forwards[at + 2] as number);
    }
    books.credit.park(owner, pieces);
  }

  sweep(): boolean {
    this.publish();
    const { books } = this;
    const { ids } = books;
    ids.age();
    for (let id = 0; id < ids.capacity; id += 1) {
      if (!ids.overdue(id, books.isForwarded(id) ? FORWARD_DEADLINE : COPY_DEADLINE)) continue;
      this.withdraw(id);
      ids.expire(id);
    }
    books.forwarded.flush();
    return false;
  }

  end(): void {
    this.publish();
    this.closing.end();
    const { books } = this;
    for (let id = 0; id < this.capacity; id += 1) {
      if (books.ids.state(id) === IdState.open) this.withdraw(id);
    }
    books.freeReferences();
    books.forwarded.flush();
    this.publications?.end();
  }

  /** References ran out with `written` fragments granted. */
  private giveUp(id: number, written: number): -1 {
    this.publish();
    this.books.counts[id] = written;
    this.withdraw(id);
    this.books.ids.put(id);
    return -1;
  }

  /** Packet `id` is given up. */
  private withdraw(id: number): void {
    this.books.forgetFinishable(id);
    this.closing.release(id, false);
  }
}
