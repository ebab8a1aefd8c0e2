import { FrameCursor, type FramePool, type PooledPage } from '@netchannel2/frames';
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
import { domainCopies } from './domain-copies';
import { type LinkSettings, PASS_BUDGET } from './link-settings';

/** Most copies one packet needs: 18 fragments, each across one of our own page borders. */
const MOST_COPIES_PER_PACKET = 36;
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
  private readonly pool: FramePool;
  private readonly memory: DomainMemory;
  private readonly peer: DomainId;
  private readonly ring: MemoryArea;
  private readonly ids = new Int32Array(PASS_BUDGET);
  private readonly owed = new Uint8Array(PASS_BUDGET);
  private readonly states = new Uint8Array(PASS_BUDGET);
  private readonly lengths = new Int32Array(PASS_BUDGET);
  /** PACKET flags, and the segmentation type above them; what depends on them is kept only where one is set. */
  private readonly properties = new Int32Array(PASS_BUDGET);
  private readonly segmentSizes = new Int32Array(PASS_BUDGET);
  private readonly csumStarts = new Int32Array(PASS_BUDGET);
  private readonly csumOffsets = new Int32Array(PASS_BUDGET);
  private readonly copiesEnd = new Int32Array(PASS_BUDGET);
  private readonly pages: (PooledPage | undefined)[];

  constructor(settings: LinkSettings) {
    this.copies = domainCopies(settings.domain);
    this.pool = settings.pool;
    this.memory = settings.pool.memory;
    this.peer = settings.peer;
    this.ring = settings.rings.consume;
    this.pages = new Array<PooledPage | undefined>(PASS_BUDGET * PAGES_PER_PACKET).fill(undefined);
  }

  /** No further packet may be added before the batch is carried out. */
  get full(): boolean {
    return this.length === PASS_BUDGET || this.copies.length + MOST_COPIES_PER_PACKET > this.copies.capacity;
  }

  id(index: number): number {
    return this.ids[index] as number;
  }

  /** A FINISH is owed for the packet. */
  isOwed(index: number): boolean {
    return this.owed[index] === 1;
  }

  state(index: number): number {
    return this.states[index] as number;
  }

  frameLength(index: number): number {
    return this.lengths[index] as number;
  }

  /** Packet `id` was dropped; only its FINISH keeps its place. */
  addRefused(id: number): void {
    const index = this.length;
    this.length = index + 1;
    this.ids[index] = id;
    this.owed[index] = 1;
    this.states[index] = BatchEntry.refused;
    this.lengths[index] = 0;
    this.copiesEnd[index] = this.copies.length;
  }

  /**
   * Adds a checked packet whose message lies at byte `messageOffset` of the ring. The prefix goes from the ring straight
   * into our page: one fetch, and nothing in it has been believed before.
   *
   * @param owed a FINISH is owed: the packet has fragments.
   * @returns `false` when the pool has too few pages.
   */
  add(head: PacketHead, messageOffset: number, owed: boolean): boolean {
    const length = head.length;
    const index = this.length;
    const firstPage = index * PAGES_PER_PACKET;
    const first = this.pool.take();
    if (first === undefined) return false;
    this.pages[firstPage] = first;
    if (length > PAGE_SIZE && !this.takePages(firstPage, length)) return false;
    const prefix = head.prefixSize;
    if (prefix > 0) this.memory.copy(first, 0, this.ring, messageOffset + head.prefixOffset, prefix);
    if (head.fragments === 1 && length <= PAGE_SIZE) {
      const ref = head.fragmentRef(0) as GrantRef;
      this.copies.addFromGrant(this.peer, ref, head.fragmentOffset(0), first, prefix, length - prefix);
    } else if (owed) this.addCopies(head, firstPage);
    this.length = index + 1;
    this.ids[index] = head.id;
    this.owed[index] = owed ? 1 : 0;
    this.states[index] = BatchEntry.filled;
    this.lengths[index] = length;
    this.copiesEnd[index] = this.copies.length;
    const properties = head.flags | (head.segmentation << 8);
    this.properties[index] = properties;
    if (properties !== 0) {
      this.segmentSizes[index] = head.segmentation === SegmentationType.tcpv4 ? head.mss : 0;
      this.csumStarts[index] = head.csumStart;
      this.csumOffsets[index] = head.csumOffset;
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
    const firstPage = index * PAGES_PER_PACKET;
    let left = this.lengths[index] as number;
    for (let page = firstPage; left > 0; page += 1) {
      const lent = this.pages[page];
      if (lent !== undefined) cursor.addFragment(lent, 0, left < PAGE_SIZE ? left : PAGE_SIZE);
      left -= PAGE_SIZE;
    }
    if (this.properties[index] !== 0) this.loadProperties(cursor, index);
    return cursor;
  }

  /** Gives up this end's leases on the pages of packet `index`. */
  releasePages(index: number): void {
    let left = this.lengths[index] as number;
    for (let page = index * PAGES_PER_PACKET; left > 0; page += 1) {
      this.pages[page]?.release();
      left -= PAGE_SIZE;
    }
  }

  /** Its sender says that packet `index` could take a bypass. */
  isBypassCandidate(index: number): boolean {
    return ((this.properties[index] as number) & PacketFlag.bypassCandidate) !== 0;
  }

  /** Whether packet `index` has the address `mac` at byte `at` of its first page. */
  carries(index: number, at: number, mac: Uint8Array): boolean {
    const page = this.pages[index * PAGES_PER_PACKET];
    if (page === undefined) return false;
    for (let byte = 0; byte < 6; byte += 1) {
      if (page.bytes[page.base + at + byte] !== mac[byte]) return false;
    }
    return true;
  }

  /** The copies of the packets in the batch are not wanted any more. */
  forgetCopies(): void {
    if (this.length > 0) this.copies.clear();
  }

  clear(): void {
    this.length = 0;
  }

  /** All pages but the first. `false`: too few; none is held, the first one included. */
  private takePages(firstPage: number, length: number): boolean {
    const end = firstPage + ((length + PAGE_SIZE - 1) >> 12);
    const enough = this.pool.available >= end - firstPage - 1;
    for (let page = firstPage + 1; enough && page < end; page += 1) this.pages[page] = this.pool.take();
    if (!enough) this.pages[firstPage]?.release();
    return enough;
  }

  /** The rest of a packet that is more than one fragment into one page. */
  private addCopies(head: PacketHead, firstPage: number): void {
    const copies = this.copies;
    const fragments = head.fragments;
    let filled = head.prefixSize;
    for (let fragment = 0; fragment < fragments; fragment += 1) {
      const ref = head.fragmentRef(fragment) as GrantRef;
      let from = head.fragmentOffset(fragment);
      let left = head.fragmentSize(fragment);
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

  private loadProperties(cursor: FrameCursor, index: number): void {
    const flags = this.properties[index] as number;
    if ((flags & PacketFlag.csumBlank) !== 0) {
      cursor.checksum = FrameChecksum.blank;
      cursor.checksumStart = this.csumStarts[index] as number;
      cursor.checksumOffset = this.csumOffsets[index] as number;
    } else if ((flags & PacketFlag.dataValidated) !== 0) cursor.checksum = FrameChecksum.validated;
    const segmentSize = this.segmentSizes[index] as number;
    if (segmentSize > 0) {
      cursor.segmentation = FrameSegmentation.tcpv4;
      cursor.segmentSize = segmentSize;
    }
  }

  private anyFailed(): boolean {
    const copies = this.copies;
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
      const end = this.copiesEnd[index] as number;
      for (; element < end; element += 1) {
        if (this.copies.status(element) !== GrantStatus.okay) this.states[index] = BatchEntry.failed;
      }
    }
  }
}
