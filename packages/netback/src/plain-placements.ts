import { type BackRing, RxStatus, writeRxResponse } from '@netchannel2/netif';
import { type GrantCopyBatch, GrantStatus, type LeasedPage } from '@netchannel2/xen';
import { PASS_PACKETS } from './packet-batch';
import type { SlotBatch } from './slot-batch';

/**
 * Packets of one slot and one copy, as most are, placed since the last flush and nothing else since: the copies of a batch
 * are theirs, one each.
 */
export class PlainPlacements {
  count = 0;
  private readonly ids = new Uint16Array(PASS_PACKETS);
  private readonly flags = new Uint16Array(PASS_PACKETS);
  private readonly sizes = new Uint16Array(PASS_PACKETS);
  private readonly pages: (LeasedPage | undefined)[] = new Array(PASS_PACKETS).fill(undefined);

  /** Takes over one lease of the page whose bytes the copy added next carries. */
  add(page: LeasedPage, id: number, flags: number, size: number): void {
    const { count } = this;
    this.ids[count] = id;
    this.flags[count] = flags;
    this.sizes[count] = size;
    this.pages[count] = page;
    this.count = count + 1;
  }

  /** Writes the responses, in the order of the requests, and lets go of the pages. Answers how many packets did not arrive. */
  answer(ring: BackRing, copies: GrantCopyBatch): number {
    const { ids, flags, sizes, pages, count } = this;
    const { words, responseIndex } = ring;
    let failed = 0;
    for (let packet = 0; packet < count; packet += 1) {
      let status: number = sizes[packet] as number;
      if (copies.status(packet) !== GrantStatus.okay) {
        status = RxStatus.error;
        failed += 1;
      }
      const at = ring.slot((responseIndex + packet) | 0);
      writeRxResponse(words, at, ids[packet] as number, 0, flags[packet] as number, status);
      (pages[packet] as LeasedPage).release();
    }
    ring.responseIndex = (responseIndex + count) | 0;
    this.count = 0;
    return failed;
  }

  /** A packet of another kind follows: these go on as slots like any. */
  spill(slots: SlotBatch): void {
    for (let packet = 0; packet < this.count; packet += 1) {
      slots.addData(
        this.ids[packet] as number,
        this.flags[packet] as number,
        this.sizes[packet] as number,
        packet,
      );
      slots.lease(this.pages[packet] as LeasedPage);
      slots.end(packet + 1);
    }
    this.count = 0;
  }

  clear(): void {
    for (let packet = 0; packet < this.count; packet += 1) this.pages[packet]?.release();
    this.count = 0;
  }
}
