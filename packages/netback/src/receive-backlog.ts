import { type CopyPages, type FramePool, pagesOf } from '@netchannel2/frames';
import type { LeasedPage } from '@netchannel2/xen';
import type { ReceivePacket } from './receive-packet';

/** Most packets and bytes that wait for a guest's buffers, as with Linux (spec vif.md §3). */
export const BACKLOG_PACKETS_MAX = 256;
export const BACKLOG_BYTES_MAX = 512 * 1024;

const MASK = BACKLOG_PACKETS_MAX - 1;

/**
 * Packets that wait, in order, for a guest to post buffers. A page may be borrowed from where the packet came from as long
 * as the guest is likely to be quick; for each borrowed one a page of this vif's own is set aside, so that {@link settle} can
 * copy it and a slow guest fills nothing but its own queue. Plain arrays made once; waiting allocates nothing.
 */
export class ReceiveBacklog implements CopyPages {
  length = 0;
  /** Pages that are not this vif's own. */
  borrowed = 0;
  private head = 0;
  private byteCount = 0;
  private readonly lengths = new Uint16Array(BACKLOG_PACKETS_MAX);
  private readonly flags = new Uint16Array(BACKLOG_PACKETS_MAX);
  private readonly segmentSizes = new Uint16Array(BACKLOG_PACKETS_MAX);
  private readonly segmentations = new Uint8Array(BACKLOG_PACKETS_MAX);
  private readonly hashFirst = new Int32Array(BACKLOG_PACKETS_MAX);
  private readonly hashSecond = new Int32Array(BACKLOG_PACKETS_MAX);
  private readonly since = new Float64Array(BACKLOG_PACKETS_MAX);
  private readonly pages: (LeasedPage | undefined)[];
  /** Of a borrowed page where the packet's bytes lie in it and how many they are; 0 bytes marks an own page. */
  private readonly offsets: Uint16Array;
  private readonly sizes: Uint16Array;
  private pageHead = 0;
  private pageTail = 0;

  /** @param pool this vif's own pages, for what waits and for what is changed on its way. */
  constructor(private readonly pool: FramePool) {
    const pageCount = pool.available;
    this.pages = new Array(pageCount).fill(undefined);
    this.offsets = new Uint16Array(pageCount);
    this.sizes = new Uint16Array(pageCount);
  }

  get capacity(): number {
    return this.pool.capacity;
  }

  /** Own pages that are not set aside. */
  get available(): number {
    return this.pool.available - this.borrowed;
  }

  take(): LeasedPage | undefined {
    return this.available > 0 ? this.pool.take() : undefined;
  }

  /** Whether a packet of `length` bytes may be added. */
  takes(length: number): boolean {
    return this.length < BACKLOG_PACKETS_MAX && this.byteCount + length <= BACKLOG_BYTES_MAX;
  }

  /** Whether `packets` packets of `bytes` bytes in all may be added. */
  takesAll(packets: number, bytes: number): boolean {
    return this.length + packets <= BACKLOG_PACKETS_MAX && this.byteCount + bytes <= BACKLOG_BYTES_MAX;
  }

  /** Adds a packet that {@link takes} allowed; its pages follow by {@link addPage} or {@link borrowPage}. */
  add(packet: ReceivePacket, now: number): void {
    const at = (this.head + this.length) & MASK;
    this.lengths[at] = packet.length;
    this.flags[at] = packet.flags;
    this.segmentSizes[at] = packet.segmentSize;
    this.segmentations[at] = packet.segmentation;
    this.hashFirst[at] = packet.hashFirst;
    this.hashSecond[at] = packet.hashSecond;
    this.since[at] = now;
    this.byteCount += packet.length;
    this.length += 1;
  }

  /** Takes over the lease of the next page of the packet added last: one from {@link take}, filled from its beginning. */
  addPage(page: LeasedPage): void {
    this.put(page, 0, 0);
  }

  /** Takes over a lease of the page that holds all of the packet added last. There is an own page {@link available}. */
  borrowPage(page: LeasedPage, offset: number, size: number): void {
    this.put(page, offset, size);
    this.borrowed += 1;
  }

  /** Copies what lies in borrowed pages into own ones. */
  settle(): void {
    const { pool, pages, sizes, offsets } = this;
    for (let at = this.pageHead; this.borrowed > 0; at = this.pageAfter(at)) {
      const size = sizes[at] as number;
      const page = pages[at];
      if (size === 0 || page === undefined) continue;
      const own = pool.take();
      if (own === undefined) throw new Error('no page was set aside for a borrowed one');
      pool.memory.copy(own, 0, page, offsets[at] as number, size);
      page.release();
      pages[at] = own;
      offsets[at] = 0;
      sizes[at] = 0;
      this.borrowed -= 1;
    }
  }

  /** What the first packet says. There is one. */
  look(packet: ReceivePacket): void {
    const at = this.head;
    packet.set(
      this.lengths[at] as number,
      this.flags[at] as number,
      this.segmentSizes[at] as number,
      this.segmentations[at] as number,
    );
    packet.hashFirst = this.hashFirst[at] as number;
    packet.hashSecond = this.hashSecond[at] as number;
  }

  /** When the first packet was added; there is one. */
  get oldest(): number {
    return this.since[this.head] as number;
  }

  /** Where the first packet's bytes begin in its next page. */
  get pageOffset(): number {
    return this.offsets[this.pageHead] as number;
  }

  /** The first packet's next page, with its lease. */
  takePage(): LeasedPage {
    const at = this.pageHead;
    const page = this.pages[at];
    if (page === undefined) throw new Error('the packet has no such page');
    if (this.sizes[at] !== 0) this.borrowed -= 1;
    this.pages[at] = undefined;
    this.pageHead = this.pageAfter(at);
    return page;
  }

  /** Removes the first packet, whose pages were taken. */
  shift(): void {
    this.byteCount -= this.lengths[this.head] as number;
    this.head = (this.head + 1) & MASK;
    this.length -= 1;
  }

  /** Gives the first packet up. */
  drop(): void {
    for (let pages = pagesOf(this.lengths[this.head] as number); pages > 0; pages -= 1)
      this.takePage().release();
    this.shift();
  }

  private put(page: LeasedPage, offset: number, size: number): void {
    const at = this.pageTail;
    this.pages[at] = page;
    this.offsets[at] = offset;
    this.sizes[at] = size;
    this.pageTail = this.pageAfter(at);
  }

  private pageAfter(at: number): number {
    return at + 1 === this.pages.length ? 0 : at + 1;
  }
}
