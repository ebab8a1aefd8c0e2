import { FrameCursor, type PooledPage } from '@netchannel2/frames';
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
import { BatchPages } from './batch-pages';
import { BatchEntry, OWED, RECORD_WORDS, RecordWord } from './batch-record';
import { domainCopies } from './domain-copies';
import type { LinkBlock } from './link-block';
import { type LinkSettings, PASS_BUDGET } from './link-settings';

/** Most copies one packet needs: 18 fragments, each across one of our own page borders. */
const MOST_COPIES_PER_PACKET = 36;
const COPY_ATTEMPTS = 3;

/**
 * The packets of one pass: their bytes are gathered in pages of our pool by one hypercall, then they are finished and
 * emitted in order. All tables are allocated once.
 */
export class ReceiveBatch {
  /** Packets in the batch. */
  length = 0;
  /** Some packet was refused, or its bytes could not be had. */
  troubled = false;
  readonly cursor = new FrameCursor();
  /** What is kept of each packet, see {@link RecordWord}. */
  readonly records: Int32Array;
  readonly pages: BatchPages;
  /** The page each packet starts in. Those of packets to come are there ahead, see {@link prepare}. */
  readonly firstPages: (PooledPage | undefined)[];

  /** Of the packets in the batch. */
  readonly copies: GrantCopyBatch;
  private readonly memory: DomainMemory;
  private readonly peer: DomainId;
  private readonly ring: MemoryArea;

  /** @param block shared with a kernel, where there is one; the batch ends it. */
  constructor(
    settings: LinkSettings,
    readonly block: LinkBlock | undefined,
  ) {
    this.records = this.block?.records ?? new Int32Array(PASS_BUDGET * RECORD_WORDS);
    this.copies = domainCopies(settings.domain);
    this.memory = settings.pool.memory;
    this.peer = settings.peer;
    this.ring = settings.rings.consume;
    // Each needs a copy that begins in it, at the least.
    this.pages = new BatchPages(settings.pool, block, this.copies.capacity);
    this.firstPages = this.pages.first;
  }

  /** No further packet may be added before the batch is carried out. */
  get full(): boolean {
    return this.length === PASS_BUDGET || this.copies.length > this.copiesBound;
  }

  /** With more copies in it the batch is {@link full}. */
  get copiesBound(): number {
    return this.copies.capacity - MOST_COPIES_PER_PACKET;
  }

  /** Packets of at most one copy that may be added still; at least one unless {@link full}. */
  get room(): number {
    return Math.min(PASS_BUDGET - this.length, this.copies.capacity - this.copies.length);
  }

  /**
   * Gives the next packets their first pages.
   *
   * @param most 1 or more, at most {@link room}.
   * @returns how many of them have one: 0 when the pool is empty.
   */
  prepare(most: number): number {
    return this.pages.prepare(this.length, most);
  }

  /** No packets are to come soon: the pages kept for them are anybody's. Only while the batch is empty. */
  rest(): void {
    this.pages.rest();
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
    const further = this.pages.used;
    if (length > PAGE_SIZE && !this.pages.takeFurther(index, (length - 1) >> 12)) return false;
    const prefix = head.prefixSize;
    if (prefix > 0) this.memory.copy(first, 0, this.ring, messageOffset + head.prefixOffset, prefix);
    if (owed) this.addCopies(head, index, further);
    this.length = index + 1;
    this.records[index * RECORD_WORDS + RecordWord.further] = further;
    const properties = head.flags | (head.segmentation << 8);
    this.record(index, head.id, length, owed ? BatchEntry.filled | OWED : BatchEntry.filled, properties);
    if (properties !== 0) {
      const record = index * RECORD_WORDS;
      this.records[record + RecordWord.segmentSize] = head.mss;
      this.records[record + RecordWord.checksum] = head.csumStart | (head.csumOffset << 16);
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
      const { further } = this.pages;
      for (let at = this.word(index, RecordWord.further); left > 0; at += 1) {
        cursor.addFragment(further[at] as PooledPage, 0, left < PAGE_SIZE ? left : PAGE_SIZE);
        left -= PAGE_SIZE;
      }
    }
    if (this.word(index, RecordWord.properties) !== 0) this.loadProperties(cursor, index);
    return cursor;
  }

  /** Whether somebody else holds a page of packet `index` behind its first. */
  isFurtherHeld(index: number): boolean {
    const { further } = this.pages;
    const first = this.word(index, RecordWord.further);
    const end = first + ((this.word(index, RecordWord.length) - 1) >> 12);
    for (let at = first; at < end; at += 1) {
      if (further[at]?.leases !== 1) return true;
    }
    return false;
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

  /** The batch was carried out: its pages, which nobody else holds, stay for the next. */
  clear(): void {
    this.length = 0;
    this.troubled = false;
    this.pages.clear();
  }

  /** As {@link clear}, where users hold pages still, which are theirs now, or packets had none. */
  clearRetained(): void {
    this.clear();
    this.pages.clearRetained();
  }

  /** Nothing comes any more. */
  end(): void {
    this.length = 0;
    this.troubled = false;
    this.pages.end();
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

  private addCopies(head: PacketHead, index: number, further: number): void {
    const { copies, pages } = this;
    const fragments = head.fragments;
    let filled = head.prefixSize;
    for (let fragment = 0; fragment < fragments; fragment += 1) {
      const ref = head.fragmentRef(fragment) as GrantRef;
      let from = head.fragmentOffset(fragment);
      let left = head.fragmentSize(fragment);
      while (left > 0) {
        const number = filled >> 12;
        const page = number === 0 ? this.firstPages[index] : pages.further[further + number - 1];
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
      const checksum = this.word(index, RecordWord.checksum);
      cursor.checksumStart = checksum & 0xffff;
      cursor.checksumOffset = checksum >>> 16;
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
