import { FrameCursor, type PooledPage } from '@netchannel2/frames';
import {
  PacketFlag,
  packetCsumOffset,
  packetCsumStart,
  packetFlags,
  packetFragmentCount,
  packetFragmentOffset,
  packetFragmentRef,
  packetFragmentSize,
  packetLength,
  packetMss,
  packetPrefixSize,
  packetPrefixWord,
  packetSegmentation,
  SegmentationType,
} from '@netchannel2/netchannel2';
import {
  type DomainId,
  FrameChecksum,
  FrameSegmentation,
  type GrantCopyBatch,
  type GrantRef,
  GrantStatus,
  type MemoryArea,
  PAGE_SIZE,
} from '@netchannel2/xen';
import type { LinkSettings } from './link-settings';
import { PASS_BUDGET } from './link-settings';

/** Most copies one packet needs: 18 fragments, each across one of our own page borders. */
const MOST_COPIES_PER_PACKET = 36;
const BATCH_CAPACITY = 256;
const PAGES_PER_PACKET = 17;
const COPY_ATTEMPTS = 3;

/** How a packet of the batch stands. */
export const BatchEntry = {
  /** All bytes are there, or will be when the copies succeed. */
  filled: 0,
  /** Dropped before a copy: only its FINISH is owed. */
  refused: 1,
  /** A copy failed. */
  failed: 2,
} as const;

/**
 * The packets of one pass: their bytes are gathered in pages of our pool by one hypercall, then they are finished and
 * emitted in order. All tables are allocated once.
 */
export class ReceiveBatch {
  /** Packets in the batch. */
  length = 0;
  readonly cursor = new FrameCursor();

  private readonly copies: GrantCopyBatch;
  private readonly peer: DomainId;
  private readonly ring: MemoryArea;
  private readonly ids = new Int32Array(PASS_BUDGET);
  private readonly owed = new Uint8Array(PASS_BUDGET);
  private readonly states = new Uint8Array(PASS_BUDGET);
  private readonly lengths = new Int32Array(PASS_BUDGET);
  private readonly flags = new Uint8Array(PASS_BUDGET);
  private readonly segmentSizes = new Int32Array(PASS_BUDGET);
  private readonly csumStarts = new Int32Array(PASS_BUDGET);
  private readonly csumOffsets = new Int32Array(PASS_BUDGET);
  private readonly copiesEnd = new Int32Array(PASS_BUDGET);
  private readonly pageCounts = new Int32Array(PASS_BUDGET);
  private readonly pages: (PooledPage | undefined)[];

  constructor(private readonly settings: LinkSettings) {
    this.copies = settings.domain.foreign.createCopyBatch(BATCH_CAPACITY);
    this.peer = settings.peer;
    this.ring = settings.rings.consume;
    this.pages = new Array<PooledPage | undefined>(PASS_BUDGET * PAGES_PER_PACKET).fill(undefined);
  }

  /** No further packet may be added before the batch is carried out. */
  get full(): boolean {
    return this.length === PASS_BUDGET || this.copies.length + MOST_COPIES_PER_PACKET > this.copies.capacity;
  }

  id(index: number): number {
    return this.ids[index] ?? 0;
  }

  /** A FINISH is owed for the packet. */
  isOwed(index: number): boolean {
    return this.owed[index] === 1;
  }

  state(index: number): number {
    return this.states[index] ?? BatchEntry.refused;
  }

  frameLength(index: number): number {
    return this.lengths[index] ?? 0;
  }

  /** Packet `id` was dropped; only its FINISH keeps its place. */
  addRefused(id: number): void {
    const index = this.length;
    this.length = index + 1;
    this.ids[index] = id;
    this.owed[index] = 1;
    this.states[index] = BatchEntry.refused;
    this.pageCounts[index] = 0;
    this.copiesEnd[index] = this.copies.length;
  }

  /**
   * Adds a checked packet: `message` is the private copy of its fixed part and fragments, the message itself lies at
   * byte `messageOffset` of the ring. The prefix goes from the ring straight into our page: one fetch, and nothing in it
   * has been believed before.
   *
   * @param owed a FINISH is owed: the packet has fragments.
   * @returns `false` when the pool has too few pages.
   */
  add(message: Int32Array, messageOffset: number, id: number, owed: boolean): boolean {
    const pool = this.settings.pool;
    const fragments = owed ? packetFragmentCount(message, 0) : 0;
    const prefix = packetPrefixSize(message, 0);
    const length = fragments === 0 ? prefix : packetLength(message, 0, fragments);
    const pageCount = (length + PAGE_SIZE - 1) >> 12;
    if (pool.available < pageCount) return false;
    const index = this.length;
    const firstPage = index * PAGES_PER_PACKET;
    for (let page = 0; page < pageCount; page += 1) this.pages[firstPage + page] = pool.take();
    const first = this.pages[firstPage];
    if (first === undefined) return false;
    if (prefix > 0) {
      const from = messageOffset + 4 * packetPrefixWord(fragments);
      pool.memory.copy(first, 0, this.ring, from, prefix);
    }
    if (fragments > 0) this.addCopies(message, fragments, firstPage, prefix);
    this.length = index + 1;
    this.ids[index] = id;
    this.owed[index] = owed ? 1 : 0;
    this.states[index] = BatchEntry.filled;
    this.lengths[index] = length;
    this.pageCounts[index] = pageCount;
    this.copiesEnd[index] = this.copies.length;
    this.keepProperties(message, index);
    return true;
  }

  /** Carries all copies out and marks the packets whose bytes could not be had. */
  obtain(): void {
    const copies = this.copies;
    const count = copies.length;
    if (count === 0) return;
    copies.submit();
    let failed = this.firstFailure(0, count);
    if (failed < 0) return;
    for (let attempt = 0; attempt < COPY_ATTEMPTS && this.anyAgain(failed, count); attempt += 1)
      copies.submit();
    failed = this.firstFailure(0, count);
    if (failed < 0) return;
    let element = 0;
    for (let index = 0; index < this.length; index += 1) {
      const end = this.copiesEnd[index] ?? 0;
      for (; element < end; element += 1) {
        if (copies.status(element) !== GrantStatus.okay) this.states[index] = BatchEntry.failed;
      }
    }
  }

  /** Fills the cursor with packet `index`, to be emitted and ended. */
  load(index: number): FrameCursor {
    const cursor = this.cursor;
    const firstPage = index * PAGES_PER_PACKET;
    let left = this.lengths[index] ?? 0;
    for (let page = firstPage; left > 0; page += 1) {
      const lent = this.pages[page];
      if (lent === undefined) break;
      cursor.addFragment(lent, 0, left < PAGE_SIZE ? left : PAGE_SIZE);
      left -= PAGE_SIZE;
    }
    const flags = this.flags[index] ?? 0;
    if ((flags & PacketFlag.csumBlank) !== 0) {
      cursor.checksum = FrameChecksum.blank;
      cursor.checksumStart = this.csumStarts[index] ?? 0;
      cursor.checksumOffset = this.csumOffsets[index] ?? 0;
    } else if ((flags & PacketFlag.dataValidated) !== 0) cursor.checksum = FrameChecksum.validated;
    const segmentSize = this.segmentSizes[index] ?? 0;
    if (segmentSize > 0) {
      cursor.segmentation = FrameSegmentation.tcpv4;
      cursor.segmentSize = segmentSize;
    }
    return cursor;
  }

  /** Gives up this end's leases on the pages of packet `index`. */
  releasePages(index: number): void {
    const firstPage = index * PAGES_PER_PACKET;
    const end = firstPage + (this.pageCounts[index] ?? 0);
    for (let page = firstPage; page < end; page += 1) {
      this.pages[page]?.release();
      this.pages[page] = undefined;
    }
  }

  /** Whether the source address of packet `index` is `mac`. */
  comesFrom(index: number, mac: Uint8Array): boolean {
    const page = this.pages[index * PAGES_PER_PACKET];
    if (page === undefined) return false;
    for (let byte = 0; byte < 6; byte += 1) {
      if (page.bytes[page.base + 6 + byte] !== mac[byte]) return false;
    }
    return true;
  }

  clear(): void {
    this.length = 0;
    this.copies.clear();
  }

  private addCopies(message: Int32Array, fragments: number, firstPage: number, prefix: number): void {
    const copies = this.copies;
    let filled = prefix;
    for (let fragment = 0; fragment < fragments; fragment += 1) {
      const ref = packetFragmentRef(message, 0, fragment) as GrantRef;
      let from = packetFragmentOffset(message, 0, fragment);
      let left = packetFragmentSize(message, 0, fragment);
      while (left > 0) {
        const page = this.pages[firstPage + (filled >> 12)];
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

  private keepProperties(message: Int32Array, index: number): void {
    const flags = packetFlags(message, 0);
    this.flags[index] = flags;
    this.csumStarts[index] = packetCsumStart(message, 0);
    this.csumOffsets[index] = packetCsumOffset(message, 0);
    const segmented = packetSegmentation(message, 0) === SegmentationType.tcpv4;
    this.segmentSizes[index] = segmented ? packetMss(message, 0) : 0;
  }

  private firstFailure(from: number, count: number): number {
    for (let element = from; element < count; element += 1) {
      if (this.copies.status(element) !== GrantStatus.okay) return element;
    }
    return -1;
  }

  private anyAgain(from: number, count: number): boolean {
    for (let element = from; element < count; element += 1) {
      if (this.copies.status(element) === GrantStatus.again) return true;
    }
    return false;
  }
}
