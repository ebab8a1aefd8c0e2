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

/** Flags that ask for nothing beyond the slot itself. */
const PLAIN_FLAGS = TxFlag.checksumBlank | TxFlag.dataValidated;
const SLOT_WORDS = 3;

/**
 * A run of packets that fill one slot each and have no extra info, as most traffic is: checked, copied, answered and
 * emitted in three flat loops. The first slot that is anything else ends the run and is left in the ring, unjudged.
 */
export class PlainRun {
  private count = 0;
  /** Of each packet the three words of its slot, as copied; the third is 0 once its copy failed. */
  private readonly slots = new Int32Array(PASS_PACKETS * SLOT_WORDS);
  private readonly pages: LeasedPage[] = [];
  private readonly cursor = new FrameCursor();

  constructor(
    private readonly peer: DomainId,
    private readonly ring: BackRing,
    private readonly pool: FramePool,
    private readonly copies: GrantCopyBatch,
    private readonly counters: NetbackCounters,
    private readonly frames$: HotStream<Frame>,
  ) {}

  /** Takes what there is of a run off the ring, into an empty batch of copies. Answers how many packets. */
  take(): number {
    const { ring, slots, pages, pool, copies, peer } = this;
    const count = this.read(Math.min(ring.unconsumed, PASS_PACKETS, pool.available));
    ring.requestIndex = (ring.requestIndex + count) | 0;
    pool.takeAll(pages, count);
    for (let packet = 0; packet < count; packet += 1) {
      const at = packet * SLOT_WORDS;
      const ref = grantRef((slots[at] as number) >>> 0);
      const offset = (slots[at + 1] as number) & 0xffff;
      copies.addFromGrant(
        peer,
        ref,
        offset,
        pages[packet] as LeasedPage,
        0,
        (slots[at + 2] as number) >>> 16,
      );
    }
    this.count = count;
    return count;
  }

  /** Carries out the copies and writes the responses; publishing them is the caller's. */
  fetch(): void {
    const { ring, slots, copies, count } = this;
    copies.submit();
    for (let packet = 0; packet < count; packet += 1) {
      const isCopied = copies.status(packet) === GrantStatus.okay;
      const id = (slots[packet * SLOT_WORDS + 2] as number) & 0xffff;
      const at = ring.slot((ring.responseIndex + packet) | 0);
      writeTxResponse(ring.words, at, id, isCopied ? TxStatus.okay : TxStatus.error);
      if (!isCopied) slots[packet * SLOT_WORDS + 2] = 0;
    }
    ring.responseIndex = (ring.responseIndex + count) | 0;
  }

  /** Emits what arrived, and lets go of the pages. */
  deliver(): void {
    const { slots, pages, counters, cursor, frames$, count } = this;
    for (let packet = 0; packet < count; packet += 1) {
      const page = pages[packet] as LeasedPage;
      const size = (slots[packet * SLOT_WORDS + 2] as number) >>> 16;
      if (size === 0) counters.dropped.fetchFailed += 1;
      else if (!frames$.observed) counters.dropped.noSubscriber += 1;
      else {
        const flags = (slots[packet * SLOT_WORDS + 1] as number) >>> 16;
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
  }

  /** Copies up to `most` plain slots from the ring. Answers how many there were. */
  private read(most: number): number {
    const { ring, slots } = this;
    const { words, requestIndex } = ring;
    let count = 0;
    for (let at = 0; count < most; count += 1, at += SLOT_WORDS) {
      const slot = ring.slot((requestIndex + count) | 0);
      // One read per word; a slot that turns out to be plain is not looked at again.
      const second = words[slot + 1] as number;
      const third = words[slot + 2] as number;
      const size = third >>> 16;
      if (((second >>> 16) & ~PLAIN_FLAGS) !== 0) break;
      if (size < ETHERNET_HEADER_BYTES || (second & 0xffff) + size > PAGE_SIZE) break;
      slots[at] = words[slot] as number;
      slots[at + 1] = second;
      slots[at + 2] = third;
    }
    return count;
  }
}
