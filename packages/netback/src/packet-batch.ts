import { FRAGMENTS_READ, type TxSlotGroup } from '@netchannel2/netif';
import type { LeasedPage } from '@netchannel2/xen';

/** Packets of one pass, and of one batch of copies. */
export const PASS_PACKETS = 64;

const SLOTS_MAX = PASS_PACKETS * (FRAGMENTS_READ + 1);

/**
 * Packets taken off a TX ring whose copies are not done yet: plain numbers in arrays made once, so that a batch allocates
 * nothing. Slots, copies and pages of packet `p` are the entries from the packet's own first to the next packet's first.
 */
export class PacketBatch {
  packetCount = 0;
  slotCount = 0;
  pageCount = 0;
  readonly firstSlot = new Uint16Array(PASS_PACKETS + 1);
  readonly firstPage = new Uint16Array(PASS_PACKETS + 1);
  readonly total = new Uint16Array(PASS_PACKETS);
  readonly flags = new Uint16Array(PASS_PACKETS);
  readonly extraCount = new Uint8Array(PASS_PACKETS);
  readonly gsoSize = new Uint16Array(PASS_PACKETS);
  readonly gsoType = new Uint8Array(PASS_PACKETS);
  /** Set once the copies are done: all of the packet's bytes have arrived. */
  readonly complete = new Uint8Array(PASS_PACKETS);
  /** Per data slot: the request id, and the first of its copies. */
  readonly slotId = new Uint16Array(SLOTS_MAX);
  readonly slotFirstCopy = new Uint16Array(SLOTS_MAX + 1);
  readonly pages: (LeasedPage | undefined)[] = [];

  /** Whether another packet may be begun. */
  get full(): boolean {
    return this.packetCount === PASS_PACKETS;
  }

  /** Begins a packet; its pages and slots follow. */
  begin(group: TxSlotGroup): void {
    const packet = this.packetCount;
    this.firstSlot[packet] = this.slotCount;
    this.firstPage[packet] = this.pageCount;
    this.total[packet] = group.total;
    this.flags[packet] = group.flags;
    this.extraCount[packet] = group.extraCount;
    this.gsoSize[packet] = group.gsoSize;
    this.gsoType[packet] = group.gsoType;
  }

  addPage(page: LeasedPage): void {
    this.pages[this.pageCount] = page;
    this.pageCount += 1;
  }

  addSlot(id: number, firstCopy: number): void {
    this.slotId[this.slotCount] = id;
    this.slotFirstCopy[this.slotCount] = firstCopy;
    this.slotCount += 1;
  }

  /** Ends the packet begun last. */
  end(copyCount: number): void {
    this.packetCount += 1;
    this.firstSlot[this.packetCount] = this.slotCount;
    this.firstPage[this.packetCount] = this.pageCount;
    this.slotFirstCopy[this.slotCount] = copyCount;
  }

  /** Releases all pages and forgets all packets. */
  clear(): void {
    for (let index = 0; index < this.pageCount; index += 1) {
      this.pages[index]?.release();
      this.pages[index] = undefined;
    }
    this.packetCount = 0;
    this.slotCount = 0;
    this.pageCount = 0;
  }
}
