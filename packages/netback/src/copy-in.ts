import {
  FrameCursor,
  type FramePool,
  type HotStream,
  PacketHeaders,
  PROTOCOL_TCP,
  parseHeaders,
  pseudoHeaderSum,
} from '@netchannel2/frames';
import { answerFirstSlot, answerSlot, type BackRing, TxFlag, TxStatus } from '@netchannel2/netif';
import {
  type DomainId,
  type DomainMemory,
  type Frame,
  FrameChecksum,
  type FrameSegmentation,
  type GrantCopyBatch,
  GrantStatus,
  type LeasedPage,
  PAGE_SIZE,
} from '@netchannel2/xen';
import { BATCH_COPIES } from './copy-batches';
import type { NetbackCounters } from './frame-drops';
import { PACKET_PAGES_MAX } from './options';
import { PASS_PACKETS, PASS_SLOTS_MAX, type PacketBatch } from './packet-batch';
import type { StagingBuffers } from './staging-buffers';

/** Most copies one packet needs: one per data slot, one more at each page border of the copy. */
export const PACKET_COPIES_MAX = 19 + PACKET_PAGES_MAX;
const TCP_CHECKSUM = 16;

/** Packets of a batch that are copied into pages of ours with one hypercall, answered, and emitted. */
export class CopyIn {
  /** Packets added and not emitted yet. */
  count = 0;
  private pageCount = 0;
  private readonly packets = new Uint8Array(PASS_PACKETS);
  private readonly complete = new Uint8Array(PASS_PACKETS);
  private readonly firstPage = new Uint16Array(PASS_PACKETS + 1);
  /** By the batch's slot: where its copies begin and end. */
  private readonly firstCopy = new Uint16Array(PASS_SLOTS_MAX);
  private readonly endCopy = new Uint16Array(PASS_SLOTS_MAX);
  private readonly pages: (LeasedPage | undefined)[] = [];
  private readonly cursor = new FrameCursor();
  private readonly headers = new PacketHeaders();

  constructor(
    private readonly memory: DomainMemory,
    private readonly peer: DomainId,
    private readonly ring: BackRing,
    private readonly pool: FramePool,
    private readonly copies: GrantCopyBatch,
    private readonly batch: PacketBatch,
    private readonly staging: StagingBuffers,
    private readonly counters: NetbackCounters,
    private readonly frames$: HotStream<Frame>,
  ) {}

  /** Whether copies and pages suffice for any packet. */
  get hasRoom(): boolean {
    return this.pool.available >= PACKET_PAGES_MAX && this.copies.length + PACKET_COPIES_MAX <= BATCH_COPIES;
  }

  /** Packs the packet's slots into pages, one copy per slot and page. The caller saw {@link hasRoom}. */
  add(packet: number): void {
    const { batch, copies, pool, peer, staging } = this;
    const entry = this.count;
    this.count = entry + 1;
    this.packets[entry] = packet;
    this.firstPage[entry] = this.pageCount;
    let page = this.takePage(pool);
    let used = 0;
    const first = batch.firstSlot[packet] as number;
    const end = batch.firstSlot[packet + 1] as number;
    if (end - first === 1 && staging.size === 0 && page !== undefined) {
      // Most packets: one slot, one page, one copy.
      this.firstCopy[first] = copies.length;
      copies.addFromGrant(
        peer,
        batch.slotRef(first),
        batch.slotOffset[first] as number,
        page,
        0,
        batch.slotSize[first] as number,
      );
      this.endCopy[first] = copies.length;
      this.firstPage[entry + 1] = this.pageCount;
      return;
    }
    for (let slot = first; slot < end; slot += 1) {
      this.firstCopy[slot] = copies.length;
      const ref = batch.slotRef(slot);
      const staged = staging.size === 0 ? undefined : staging.find(ref);
      let from = batch.slotOffset[slot] as number;
      let left = batch.slotSize[slot] as number;
      while (left > 0) {
        if (used === PAGE_SIZE) {
          page = this.takePage(pool);
          used = 0;
        }
        if (page === undefined) break;
        const piece = left < PAGE_SIZE - used ? left : PAGE_SIZE - used;
        if (staged === undefined) copies.addFromGrant(peer, ref, from, page, used, piece);
        else this.memory.copy(page, used, staged, from, piece);
        used += piece;
        from += piece;
        left -= piece;
      }
      this.endCopy[slot] = copies.length;
    }
    this.firstPage[entry + 1] = this.pageCount;
  }

  /** Carries out the copies and writes the responses; publishing them is the caller's. */
  fetch(): void {
    const { batch, ring } = this;
    this.copies.submit();
    for (let entry = 0; entry < this.count; entry += 1) {
      const packet = this.packets[entry] as number;
      const first = batch.firstSlot[packet] as number;
      const end = batch.firstSlot[packet + 1] as number;
      let complete = 1;
      for (let slot = first; slot < end; slot += 1) {
        const status = this.slotStatus(slot);
        if (status !== TxStatus.okay) complete = 0;
        const id = batch.slotId[slot] as number;
        if (slot === first) answerFirstSlot(ring, id, status, batch.extraCount[packet] as number);
        else answerSlot(ring, id, status);
      }
      this.complete[entry] = complete;
    }
  }

  /** Emits what arrived whole, and lets go of all pages. */
  deliver(): void {
    const { counters } = this;
    for (let entry = 0; entry < this.count; entry += 1) {
      if (this.complete[entry] === 0) counters.dropped.fetchFailed += 1;
      else if (!this.frames$.observed) counters.dropped.noSubscriber += 1;
      else this.emit(entry, this.packets[entry] as number);
    }
    this.clear();
  }

  /** Forgets the packets added and lets go of their pages. */
  clear(): void {
    const { pages } = this;
    for (let index = 0; index < this.pageCount; index += 1) {
      pages[index]?.release();
      pages[index] = undefined;
    }
    this.count = 0;
    this.pageCount = 0;
    this.copies.clear();
  }

  private takePage(pool: FramePool): LeasedPage | undefined {
    const page = pool.take();
    if (page === undefined) return undefined;
    this.pages[this.pageCount] = page;
    this.pageCount += 1;
    return page;
  }

  private slotStatus(slot: number): TxStatus {
    const end = this.endCopy[slot] as number;
    for (let copy = this.firstCopy[slot] as number; copy < end; copy += 1) {
      if (this.copies.status(copy) !== GrantStatus.okay) return TxStatus.error;
    }
    return TxStatus.okay;
  }

  private emit(entry: number, packet: number): void {
    const { batch, cursor } = this;
    const total = batch.total[packet] as number;
    let left = total;
    const end = this.firstPage[entry + 1] as number;
    for (let index = this.firstPage[entry] as number; index < end; index += 1) {
      const page = this.pages[index];
      const size = left < PAGE_SIZE ? left : PAGE_SIZE;
      if (page !== undefined) cursor.addFragment(page, 0, size);
      left -= size;
    }
    const flags = batch.flags[packet] as number;
    if ((flags & TxFlag.checksumBlank) !== 0) cursor.checksum = FrameChecksum.blank;
    else if ((flags & TxFlag.dataValidated) !== 0) cursor.checksum = FrameChecksum.validated;
    const gsoSize = batch.gsoSize[packet] as number;
    if (gsoSize > 0) {
      // The wire's segmentation types are the frame's.
      cursor.segmentation = batch.gsoType[packet] as number as FrameSegmentation;
      cursor.segmentSize = gsoSize;
      if (cursor.checksum !== FrameChecksum.blank) this.blankChecksum();
    }
    this.counters.framesReceived += 1;
    this.counters.bytesReceived += total;
    this.frames$.emit(cursor);
    cursor.end();
  }

  /** Segmentation starts from a blank checksum; some senders leave a complete one (spec vif.md §6). */
  private blankChecksum(): void {
    const { cursor, headers } = this;
    parseHeaders(cursor, headers);
    if (headers.transportOffset === 0 || headers.protocol !== PROTOCOL_TCP) return;
    const sum = pseudoHeaderSum(cursor, headers, cursor.byteLength - headers.transportOffset);
    const field = headers.transportOffset + TCP_CHECKSUM;
    for (let byte = 0; byte < 2; byte += 1) {
      const page = cursor.fragmentPage((field + byte) >> 12);
      page.bytes[page.base + ((field + byte) & (PAGE_SIZE - 1))] = byte === 0 ? sum >> 8 : sum & 0xff;
    }
    cursor.checksum = FrameChecksum.blank;
  }
}
