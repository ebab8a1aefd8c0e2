import { FrameCursor, type FramePool, type PageKeeper, type PooledPage } from '@netchannel2/frames';
import { PacketFlag, type PacketHead, SegmentationType } from '@netchannel2/netchannel2';
import {
  type DomainId,
  type DomainMemory,
  FrameChecksum,
  FrameSegmentation,
  type GrantCopyBatch,
  type GrantRef,
  GrantStatus,
  type MemoryArea,
  PAGE_SIZE,
} from '@netchannel2/xen';
import { BatchEntry, OWED, RECORD_WORDS, RecordWord } from './batch-record';
import { domainCopies } from './domain-copies';
import type { LinkBlock } from './link-block';
import { type LinkSettings, PASS_BUDGET } from './link-settings';

/** Most copies one packet needs: 18 fragments, each across one of our own page borders. */
const MOST_COPIES_PER_PACKET = 36;
const MORE_PAGES = 16;
const COPY_ATTEMPTS = 3;

/**
 * The packets of one pass: their bytes are gathered in pages of our pool by one hypercall, then they are finished and
 * emitted in order. All tables are allocated once.
 */
export class ReceiveBatch implements PageKeeper {
  /** Packets in the batch. */
  length = 0;
  /** Some packet was refused, or its bytes could not be had. */
  troubled = false;
  /** Of the pages kept for packets to come, while none are expected; the pool's to write. */
  aside = 0;
  readonly cursor = new FrameCursor();
  /** What is kept of each packet, see {@link RecordWord}. */
  readonly records: Int32Array;
  /** The page each packet starts in. Those of packets to come are there ahead, see {@link prepare}. */
  readonly firstPages: (PooledPage | undefined)[];

  /** Of the packets in the batch. */
  readonly copies: GrantCopyBatch;
  private readonly pool: FramePool;
  private readonly memory: DomainMemory;
  private readonly peer: DomainId;
  private readonly ring: MemoryArea;
  /** The pages behind the first. */
  private readonly morePages: (PooledPage | undefined)[];
  /** Packets, from the first on, that have their first page: it stays from batch to batch. */
  private prepared = 0;

  /** @param block shared with a kernel, where there is one; the batch ends it. */
  constructor(
    settings: LinkSettings,
    readonly block: LinkBlock | undefined,
  ) {
    this.records = this.block?.records ?? new Int32Array(PASS_BUDGET * RECORD_WORDS);
    this.copies = domainCopies(settings.domain);
    this.pool = settings.pool;
    this.memory = settings.pool.memory;
    this.peer = settings.peer;
    this.ring = settings.rings.consume;
    this.firstPages = new Array<PooledPage | undefined>(PASS_BUDGET).fill(undefined);
    this.morePages = new Array<PooledPage | undefined>(PASS_BUDGET * MORE_PAGES).fill(undefined);
  }

  /** No further packet may be added before the batch is carried out. */
  get full(): boolean {
    return this.length === PASS_BUDGET || this.copies.length + MOST_COPIES_PER_PACKET > this.copies.capacity;
  }

  /** Packets of at most one copy that may be added still; at least one unless {@link full}. */
  get room(): number {
    return Math.min(PASS_BUDGET - this.length, this.copies.capacity - this.copies.length);
  }

  /**
   * Gives the next packets their first pages; half of what the pool has is left to others.
   *
   * @param most 1 or more, at most {@link room}.
   * @returns how many of them have one: 0 when the pool is empty.
   */
  prepare(most: number): number {
    if (this.aside > 0) this.pool.takeUp(this);
    const end = this.length + most;
    if (this.prepared < end) {
      const lent = Math.max(1, this.pool.available >> 1);
      this.takeFirstPages(Math.min(end, Math.max(this.prepared, this.length) + lent));
    }
    return Math.max(0, Math.min(end, this.prepared) - this.length);
  }

  /** No packets are to come soon: the pages kept for them are anybody's. Only while the batch is empty. */
  rest(): void {
    if (this.prepared > 0 && this.aside === 0) this.pool.setAside(this, this.prepared);
  }

  giveBack(): void {
    this.returnPrepared(0);
  }

  private takeFirstPages(end: number): void {
    // A packet that was refused may have no page.
    for (let index = Math.max(this.prepared, this.length); index < end; index += 1) {
      const page = this.pool.take();
      if (page === undefined) return;
      this.putFirstPage(index, page);
      this.prepared = index + 1;
    }
  }

  private putFirstPage(index: number, page: PooledPage): void {
    this.firstPages[index] = page;
    this.block?.setPage(index, page.base, page.frame);
  }

  /** Packet `id` was dropped; only its FINISH keeps its place. */
  addRefused(id: number): void {
    const index = this.length;
    this.length = index + 1;
    this.record(index, id, 0, BatchEntry.refused | OWED, 0);
    this.troubled = true;
  }

  /**
   * Adds a packet that is whole in the ring, at byte `offset`. The bytes go from the ring straight into our page: one
   * fetch, and nothing in them has been believed before.
   *
   * @param flags of the PACKET; no blank checksum.
   * @returns `false` when the pool is empty.
   */
  addInline(offset: number, length: number, flags: number): boolean {
    if (this.prepare(1) === 0) return false;
    const index = this.length;
    const page = this.firstPages[index] as PooledPage;
    this.memory.copy(page, 0, this.ring, offset, length);
    this.length = index + 1;
    this.record(index, 0, length, BatchEntry.filled, flags);
    return true;
  }

  /** Adds a packet of a prefix in the ring and one fragment that end in one page. @returns as {@link addInline}. */
  addPiece(
    id: number,
    offset: number,
    prefix: number,
    ref: GrantRef,
    from: number,
    size: number,
    flags: number,
  ): boolean {
    if (this.prepare(1) === 0) return false;
    const index = this.length;
    const page = this.firstPages[index] as PooledPage;
    if (prefix > 0) this.memory.copy(page, 0, this.ring, offset, prefix);
    const { copies } = this;
    copies.addFromGrant(this.peer, ref, from, page, prefix, size);
    this.length = index + 1;
    this.record(index, id, prefix + size, BatchEntry.filled | OWED, flags);
    return true;
  }

  /**
   * Adds any checked packet, whose message lies at byte `messageOffset` of the ring.
   *
   * @param owed a FINISH is owed: the packet has fragments.
   * @returns `false` when the pool has too few pages.
   */
  add(head: PacketHead, messageOffset: number, owed: boolean): boolean {
    const length = head.length;
    const index = this.length;
    if (this.prepare(1) === 0) return false;
    const first = this.firstPages[index] as PooledPage;
    if (length > PAGE_SIZE && !this.takePages(index, length)) return false;
    const prefix = head.prefixSize;
    if (prefix > 0) this.memory.copy(first, 0, this.ring, messageOffset + head.prefixOffset, prefix);
    if (owed) this.addCopies(head, index);
    this.length = index + 1;
    const properties = head.flags | (head.segmentation << 8);
    this.record(index, head.id, length, owed ? BatchEntry.filled | OWED : BatchEntry.filled, properties);
    if (properties !== 0) {
      const record = index * RECORD_WORDS;
      this.records[record + RecordWord.segmentSize] = head.mss;
      this.records[record + RecordWord.csumStart] = head.csumStart;
      this.records[record + RecordWord.csumOffset] = head.csumOffset;
    }
    return true;
  }

  /** Carries all copies out and marks the packets whose bytes could not be had. */
  obtain(): void {
    const copies = this.copies;
    if (copies.length === 0) return;
    copies.submit();
    if (this.anyFailed()) {
      for (let attempt = 0; attempt < COPY_ATTEMPTS && this.anyAgain(); attempt += 1) copies.submit();
      this.markFailed();
    }
    copies.clear();
  }

  /** Fills the cursor with packet `index`, to be emitted and ended. */
  load(index: number): FrameCursor {
    const cursor = this.cursor;
    const length = this.word(index, RecordWord.length);
    const first = this.firstPages[index] as PooledPage;
    if (length <= PAGE_SIZE) cursor.loadPage(first, 0, length);
    else {
      cursor.addFragment(first, 0, PAGE_SIZE);
      let left = length - PAGE_SIZE;
      for (let slot = index * MORE_PAGES; left > 0; slot += 1) {
        cursor.addFragment(this.morePages[slot] as PooledPage, 0, left < PAGE_SIZE ? left : PAGE_SIZE);
        left -= PAGE_SIZE;
      }
    }
    if (this.word(index, RecordWord.properties) !== 0) this.loadProperties(cursor, index);
    return cursor;
  }

  /** Gives up this end's leases on the pages of packet `index`, but for the first. */
  releasePages(index: number): void {
    const length = this.word(index, RecordWord.length);
    if (length <= PAGE_SIZE) return;
    const first = index * MORE_PAGES;
    const end = first + ((length - 1) >> 12);
    for (let slot = first; slot < end; slot += 1) this.morePages[slot]?.release();
  }

  isBypassCandidate(index: number): boolean {
    return (this.word(index, RecordWord.properties) & PacketFlag.bypassCandidate) !== 0;
  }

  /** Whether packet `index` has the address `mac` at byte `at` of its first page. */
  carries(index: number, at: number, mac: Uint8Array): boolean {
    const page = this.firstPages[index];
    if (page === undefined) return false;
    for (let byte = 0; byte < 6; byte += 1) {
      if (page.bytes[page.base + at + byte] !== mac[byte]) return false;
    }
    return true;
  }

  /** The batch was carried out: pages that nobody else holds stay for the next. */
  clear(): void {
    this.length = 0;
    this.troubled = false;
  }

  /** As {@link clear}, where users hold pages still, which are theirs now, or packets had none. */
  clearRetained(): void {
    const { firstPages } = this;
    let kept = 0;
    for (let index = 0; index < this.prepared; index += 1) {
      const page = firstPages[index];
      firstPages[index] = undefined;
      if (page === undefined) continue;
      if (page.leases > 1) page.release();
      else {
        this.putFirstPage(kept, page);
        kept += 1;
      }
    }
    this.prepared = kept;
    this.clear();
  }

  /** Nothing comes any more. */
  end(): void {
    this.clear();
    this.pool.takeUp(this);
    this.returnPrepared(0);
    this.block?.end();
  }

  /** The copies of the packets in the batch are not wanted any more. */
  forgetCopies(): void {
    if (this.length > 0) this.copies.clear();
  }

  private record(index: number, id: number, length: number, state: number, properties: number): void {
    const { records } = this;
    const record = index * RECORD_WORDS;
    records[record + RecordWord.id] = id;
    records[record + RecordWord.length] = length;
    records[record + RecordWord.state] = state;
    records[record + RecordWord.properties] = properties;
    records[record + RecordWord.copiesEnd] = this.copies.length;
  }

  /** A word of packet `index`. */
  private word(index: number, word: number): number {
    return this.records[index * RECORD_WORDS + word] as number;
  }

  /** All pages but the first. `false`: too few; none is held, the first one included. */
  private takePages(index: number, length: number): boolean {
    const first = index * MORE_PAGES;
    const end = first + ((length - 1) >> 12);
    if (this.pool.available < end - first) this.returnPrepared(index + 1);
    const enough = this.pool.available >= end - first;
    for (let slot = first; enough && slot < end; slot += 1) this.morePages[slot] = this.pool.take();
    return enough;
  }

  /** Packets from `first` on have no page ahead any more. */
  private returnPrepared(first: number): void {
    for (let index = first; index < this.prepared; index += 1) {
      this.firstPages[index]?.release();
      this.firstPages[index] = undefined;
    }
    this.prepared = Math.min(this.prepared, first);
  }

  private addCopies(head: PacketHead, index: number): void {
    const copies = this.copies;
    const fragments = head.fragments;
    let filled = head.prefixSize;
    for (let fragment = 0; fragment < fragments; fragment += 1) {
      const ref = head.fragmentRef(fragment) as GrantRef;
      let from = head.fragmentOffset(fragment);
      let left = head.fragmentSize(fragment);
      while (left > 0) {
        const number = filled >> 12;
        const page = number === 0 ? this.firstPages[index] : this.morePages[index * MORE_PAGES + number - 1];
        if (page === undefined) return;
        const to = filled & (PAGE_SIZE - 1);
        const piece = left < PAGE_SIZE - to ? left : PAGE_SIZE - to;
        copies.addFromGrant(this.peer, ref, from, page, to, piece);
        from += piece;
        left -= piece;
        filled += piece;
      }
    }
  }

  private loadProperties(cursor: FrameCursor, index: number): void {
    const flags = this.word(index, RecordWord.properties);
    if ((flags & PacketFlag.csumBlank) !== 0) {
      cursor.checksum = FrameChecksum.blank;
      cursor.checksumStart = this.word(index, RecordWord.csumStart);
      cursor.checksumOffset = this.word(index, RecordWord.csumOffset);
    } else if ((flags & PacketFlag.dataValidated) !== 0) cursor.checksum = FrameChecksum.validated;
    if (flags >> 8 === SegmentationType.tcpv4) {
      cursor.segmentation = FrameSegmentation.tcpv4;
      cursor.segmentSize = this.word(index, RecordWord.segmentSize);
    }
  }

  private anyFailed(): boolean {
    const { copies, block } = this;
    if (block !== undefined && copies.elements !== undefined)
      return block.kernel.anyFailed(copies.elements.base, copies.length) !== 0;
    const count = copies.length;
    for (let element = 0; element < count; element += 1) {
      if (copies.status(element) !== GrantStatus.okay) return true;
    }
    return false;
  }

  private anyAgain(): boolean {
    for (let element = 0; element < this.copies.length; element += 1) {
      if (this.copies.status(element) === GrantStatus.again) return true;
    }
    return false;
  }

  private markFailed(): void {
    let element = 0;
    for (let index = 0; index < this.length; index += 1) {
      const end = this.word(index, RecordWord.copiesEnd);
      for (; element < end; element += 1) {
        if (this.copies.status(element) === GrantStatus.okay) continue;
        this.records[index * RECORD_WORDS + RecordWord.state] = BatchEntry.failed | OWED;
        this.troubled = true;
      }
    }
  }
}
