import { pagesOf } from '@netchannel2/frames';
import type { LeasedPage } from '@netchannel2/xen';
import type { ReceivePacket } from './receive-packet';

/** Most packets and bytes that wait for a guest's buffers, as with Linux (spec vif.md §3). */
export const BACKLOG_PACKETS_MAX = 256;
export const BACKLOG_BYTES_MAX = 512 * 1024;

const MASK = BACKLOG_PACKETS_MAX - 1;

/**
 * Packets that wait, in order, for a guest to post buffers: each in pages of this vif's own, so that a slow guest fills
 * nothing but its own queue. Plain arrays made once; waiting allocates nothing.
 */
export class ReceiveBacklog {
  length = 0;
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
  private pageHead = 0;
  private pageTail = 0;

  /** @param pageCount pages that can wait at a time: those of the pool they come from. */
  constructor(pageCount: number) {
    this.pages = new Array(pageCount).fill(undefined);
  }

  /** Whether a packet of `length` bytes may be added. */
  takes(length: number): boolean {
    return this.length < BACKLOG_PACKETS_MAX && this.byteCount + length <= BACKLOG_BYTES_MAX;
  }

  /** Whether `packets` packets of `bytes` bytes in all may be added. */
  takesAll(packets: number, bytes: number): boolean {
    return this.length + packets <= BACKLOG_PACKETS_MAX && this.byteCount + bytes <= BACKLOG_BYTES_MAX;
  }

  /** Adds a packet that {@link takes} allowed; its pages follow by {@link addPage}. */
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

  /** Takes over the lease of the next page of the packet added last. */
  addPage(page: LeasedPage): void {
    this.pages[this.pageTail] = page;
    this.pageTail = (this.pageTail + 1) % this.pages.length;
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

  /** The first packet's next page, with its lease. */
  takePage(): LeasedPage {
    const page = this.pages[this.pageHead];
    if (page === undefined) throw new Error('the packet has no such page');
    this.pages[this.pageHead] = undefined;
    this.pageHead = (this.pageHead + 1) % this.pages.length;
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
}
