import {
  type GrantEntries,
  type GrantRef,
  type GrantRevocations,
  type LeasedPage,
  NO_GRANT_REF,
} from '@netchannel2/xen';
import {
  FINISHED_FURTHER,
  FINISHED_FURTHER_SHIFT,
  FINISHED_NOT_OBTAINED,
  KEPT_PARTS,
  type LinkBlock,
} from './link-block';
import { FinishOutcome } from './packet-grants';
import { IdState } from './packet-ids';
import type { SubPageBooks } from './sub-page-books';

/** Grants that a peer may keep busy after FINISH before it counts as hostile (spec §7). */
const MOST_BUSY = 64;
/** Packets that are handed on or finished by one call, and grants that are made or withdrawn by one. */
export const MOST_IN_RUN = 64;
export const MOST_GRANTS = MOST_IN_RUN * KEPT_PARTS;

/** The ends of packets in exact grants: their grants are withdrawn in runs, where there is memory for that. */
export class SubPageClosing {
  private busy = 0;
  private readonly ids = new Int32Array(MOST_GRANTS);
  /** Which of the packet's grants. */
  private readonly parts = new Uint8Array(MOST_GRANTS);
  /** Whether the peer got the bytes. */
  private readonly obtained = new Uint8Array(MOST_GRANTS);
  /** A grant of the packet whose grants are being looked at is in use. */
  private inUse = false;

  constructor(
    private readonly entries: GrantEntries,
    private readonly books: SubPageBooks,
    /** Of packets that are over: their grants, in the order of the lists below. */
    private readonly revocations: GrantRevocations | undefined,
  ) {}

  /** As `PacketGrants.finish`. */
  finish(id: number, obtained: boolean): FinishOutcome {
    const { books, revocations } = this;
    const state = books.ids.state(id);
    if (state === IdState.free) return FinishOutcome.unknown;
    if (state === IdState.open) {
      books.judge(id, obtained);
      if (revocations !== undefined) return this.add(revocations, id, obtained);
      this.release(id, obtained);
      books.forwarded.flush();
    }
    books.ids.put(id);
    return this.judgeBusy();
  }

  private add(revocations: GrantRevocations, id: number, obtained: boolean): FinishOutcome {
    const { books } = this;
    const count = books.counts[id] as number;
    const outcome = revocations.length + count > MOST_GRANTS ? this.settle() : FinishOutcome.done;
    const first = revocations.length;
    books.close(id);
    for (let part = 0; part < count; part += 1) {
      this.ids[first + part] = id;
      this.parts[first + part] = part;
      this.obtained[first + part] = obtained ? 1 : 0;
      revocations.add(books.refs[books.slot(id, part)] as GrantRef);
    }
    return outcome;
  }

  /**
   * As {@link finish} and {@link settle}, for `count` packets that a kernel finished. The list of grants was empty, and holds
   * theirs now.
   *
   * @param block see `LinkBlock.finished`.
   */
  finishRun(block: LinkBlock, count: number): FinishOutcome {
    const { revocations } = this;
    if (revocations === undefined) return FinishOutcome.done;
    const { finished, grants } = block;
    revocations.append?.(grants);
    if (grants === count) this.finishPieces(revocations, finished, count);
    else this.finishSeveral(revocations, finished, count);
    revocations.clear();
    this.books.forwarded.flush();
    return this.judgeBusy();
  }

  /** Of packets that lie in one grant each. */
  private finishPieces(revocations: GrantRevocations, finished: Int32Array, count: number): void {
    let done = 0;
    while (done < count) {
      const end = revocations.revoke(done);
      for (; done < end; done += 1) this.closeFinished(finished[done] as number);
      if (done === count) return;
      const word = finished[done] as number;
      const id = word & ~FINISHED_NOT_OBTAINED;
      this.closePart(id, true);
      this.closeParts(id, word >= 0);
      done += 1;
    }
  }

  private finishSeveral(revocations: GrantRevocations, finished: Int32Array, count: number): void {
    const { books } = this;
    // The first grant from there on that is in use.
    let used = revocations.revoke(0);
    let grant = 0;
    for (let index = 0; index < count; index += 1) {
      const word = finished[index] as number;
      const id = word & ~(FINISHED_NOT_OBTAINED | FINISHED_FURTHER);
      const parts = ((word & FINISHED_FURTHER) >> FINISHED_FURTHER_SHIFT) + 1;
      for (let part = 0; part < parts; part += 1, grant += 1) {
        const use = grant === used;
        this.closePart(books.slot(id, part), use);
        if (use) used = revocations.revoke(used + 1);
      }
      this.closeParts(id, word >= 0);
    }
  }

  /** The one grant of a packet that a kernel finished is withdrawn. */
  private closeFinished(word: number): void {
    const { books } = this;
    const { pages } = books;
    const id = word & ~FINISHED_NOT_OBTAINED;
    const page = pages[id];
    if (page !== undefined) {
      pages[id] = undefined;
      page.release();
    } else books.judge(id, word >= 0);
    books.ids.putOpen(id);
    if (page === undefined) books.letGo(id, word >= 0);
  }

  /** A grant of a packet that a kernel finished is withdrawn, or in `use` still. */
  private closePart(slot: number, use: boolean): void {
    const { pages } = this.books;
    const page = pages[slot];
    if (use) this.keepBusy(slot, page);
    else page?.release();
    if (page !== undefined) pages[slot] = undefined;
  }

  /** All grants of a packet that a kernel finished were seen to. */
  private closeParts(id: number, obtained: boolean): void {
    const { books } = this;
    const used = this.inUse;
    this.inUse = false;
    books.counts[id] = 1;
    // Of a packet in pages of ours nobody waits for the end.
    books.judge(id, obtained);
    books.ids.putOpen(id);
    books.letGo(id, obtained || used);
  }

  /** Withdraws what was finished. */
  settle(): FinishOutcome {
    const { revocations } = this;
    if (revocations === undefined || revocations.length === 0) return this.judgeBusy();
    const count = revocations.length;
    let done = 0;
    while (done < count) {
      const end = revocations.revoke(done);
      for (; done < end; done += 1) this.close(done, false);
      if (done < count) this.close(done++, true);
    }
    revocations.clear();
    this.books.forwarded.flush();
    return this.judgeBusy();
  }

  /** Number `index` of the list is withdrawn, or in `use` still. */
  private close(index: number, use: boolean): void {
    const { books } = this;
    const id = this.ids[index] as number;
    const part = this.parts[index] as number;
    const slot = books.slot(id, part);
    const page = books.pages[slot];
    if (use) this.keepBusy(slot, page);
    else page?.release();
    if (page !== undefined) books.pages[slot] = undefined;
    books.restReference(slot);
    if (part + 1 < (books.counts[id] as number)) return;
    const obtained = this.inUse || this.obtained[index] === 1;
    this.inUse = false;
    books.counts[id] = 1;
    books.ids.put(id);
    // A copy that is still under way reads the sender's page, which its own grant keeps from being reused.
    if (page === undefined) books.letGo(id, obtained);
  }

  /** Takes the grants of packet `id` back, one by one. */
  release(id: number, obtained: boolean): void {
    const { books } = this;
    const count = books.counts[id] as number;
    for (let part = 0; part < count; part += 1) {
      const slot = books.slot(id, part);
      const page = books.pages[slot];
      books.pages[slot] = undefined;
      if (!this.entries.revoke(books.refs[slot] as GrantRef)) this.keepBusy(slot, page);
      else page?.release();
      books.restReference(slot);
    }
    books.counts[id] = 1;
    const used = this.inUse;
    this.inUse = false;
    books.letGo(id, obtained || used);
  }

  end(): void {
    this.settle();
    this.revocations?.end();
  }

  private judgeBusy(): FinishOutcome {
    return this.busy > MOST_BUSY ? FinishOutcome.tooManyBusy : FinishOutcome.done;
  }

  /** A copy of the peer's is under way: page and reference stay out of use until it ends. */
  private keepBusy(slot: number, page: LeasedPage | undefined): void {
    const ref = this.books.refs[slot] as GrantRef;
    this.books.refs[slot] = NO_GRANT_REF;
    this.inUse = true;
    this.busy += 1;
    this.entries.revokeDeferred(ref, () => {
      this.busy -= 1;
      page?.release();
    });
  }
}
