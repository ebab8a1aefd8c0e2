import { FrameCursor, type FramePool, type HotStream } from '@netchannel2/frames';
import { type BackRing, ETHERNET_HEADER_BYTES, TxFlag, TxStatus, writeTxResponse } from '@netchannel2/netif';
import {
  type DomainId,
  type Frame,
  FrameChecksum,
  type GrantCopyBatch,
  GrantStatus,
  grantRef,
  type LeasedPage,
  PAGE_SIZE,
} from '@netchannel2/xen';
import type { NetbackCounters } from './frame-drops';
import { PASS_PACKETS } from './packet-batch';
import { PlainKernel } from './plain-kernel';

/** Flags that ask for nothing beyond the slot itself. */
const PLAIN_FLAGS = TxFlag.checksumBlank | TxFlag.dataValidated;
const SLOT_WORDS = 2;

/**
 * A run of packets that fill one slot each and have no extra info, as most traffic is: checked, copied, answered and
 * emitted in flat loops, by a kernel where the domain's memory has kernels. The first slot that is anything else ends the run
 * and is left in the ring, unjudged.
 */
export class PlainRun {
  private count = 0;
  private closed = false;
  /** Of each packet the second and third word of its slot, as copied; the third is 0 once its copy failed. */
  private readonly slots: Int32Array;
  private readonly pages: LeasedPage[] = [];
  private readonly cursor = new FrameCursor();
  private readonly kernel: PlainKernel | undefined;

  constructor(
    private readonly peer: DomainId,
    private readonly ring: BackRing,
    private readonly pool: FramePool,
    private readonly copies: GrantCopyBatch,
    private readonly counters: NetbackCounters,
    private readonly frames$: HotStream<Frame>,
  ) {
    this.kernel = PlainKernel.create(pool.memory, peer, ring, copies);
    this.slots = this.kernel?.kept ?? new Int32Array(PASS_PACKETS * SLOT_WORDS);
  }

  /** Takes what there is of a run off the ring, into an empty batch of copies. Answers how many packets. */
  take(): number {
    const { ring, pages, pool, kernel } = this;
    const most = Math.min(ring.unconsumed, PASS_PACKETS, pool.available);
    pool.takeAll(pages, most);
    const count = kernel === undefined ? this.read(most) : kernel.take(pages, most);
    for (let packet = count; packet < most; packet += 1) (pages[packet] as LeasedPage).release();
    ring.requestIndex = (ring.requestIndex + count) | 0;
    this.count = count;
    return count;
  }

  /** Carries out the copies and writes the responses; publishing them is the caller's. */
  fetch(): void {
    const { ring, copies, kernel, count } = this;
    copies.submit();
    if (kernel === undefined) this.answer();
    else kernel.answer(count);
    ring.responseIndex = (ring.responseIndex + count) | 0;
  }

  /** Emits what arrived, and lets go of the pages. */
  deliver(): void {
    const { slots, pages, counters, cursor, frames$, count } = this;
    for (let packet = 0; packet < count; packet += 1) {
      const page = pages[packet] as LeasedPage;
      const size = (slots[packet * SLOT_WORDS + 1] as number) >>> 16;
      if (size === 0) counters.dropped.fetchFailed += 1;
      else if (!frames$.observed) counters.dropped.noSubscriber += 1;
      else {
        const flags = (slots[packet * SLOT_WORDS] as number) >>> 16;
        cursor.loadPage(page, 0, size);
        if ((flags & TxFlag.checksumBlank) !== 0) cursor.checksum = FrameChecksum.blank;
        else if (flags !== 0) cursor.checksum = FrameChecksum.validated;
        counters.framesReceived += 1;
        counters.bytesReceived += size;
        frames$.emit(cursor);
        cursor.end();
      }
      page.release();
    }
    this.count = 0;
    if (this.closed) this.kernel?.end();
  }

  /** Ends the run's own memory, once what was taken is delivered: a subscriber may be the one who closes. */
  close(): void {
    this.closed = true;
    if (this.count === 0) this.kernel?.end();
  }

  /** What `takePlain` of the kernel does. */
  private read(most: number): number {
    const { ring, slots, copies, peer, pages } = this;
    const { words, requestIndex } = ring;
    let count = 0;
    for (; count < most; count += 1) {
      const slot = ring.slot((requestIndex + count) | 0);
      // One read per word; a slot that turns out to be plain is not looked at again.
      const ref = words[slot] as number;
      const second = words[slot + 1] as number;
      const third = words[slot + 2] as number;
      const size = third >>> 16;
      const offset = second & 0xffff;
      if (((second >>> 16) & ~PLAIN_FLAGS) !== 0) break;
      if (size < ETHERNET_HEADER_BYTES || offset + size > PAGE_SIZE) break;
      copies.addFromGrant(peer, grantRef(ref >>> 0), offset, pages[count] as LeasedPage, 0, size);
      slots[count * SLOT_WORDS] = second;
      slots[count * SLOT_WORDS + 1] = third;
    }
    return count;
  }

  /** What `answerPlain` of the kernel does. */
  private answer(): void {
    const { ring, slots, copies, count } = this;
    for (let packet = 0; packet < count; packet += 1) {
      const isCopied = copies.status(packet) === GrantStatus.okay;
      const id = (slots[packet * SLOT_WORDS + 1] as number) & 0xffff;
      const at = ring.slot((ring.responseIndex + packet) | 0);
      writeTxResponse(ring.words, at, id, isCopied ? TxStatus.okay : TxStatus.error);
      if (!isCopied) slots[packet * SLOT_WORDS + 1] = 0;
    }
  }
}
