import type { LeasedPage } from '@netchannel2/xen';

/**
 * RX slots taken for packets whose copies are not done yet, in ring order: plain numbers in arrays made once. An extra
 * info is a slot without copies whose two words are kept as they will be written.
 */
export class SlotBatch {
  slotCount = 0;
  packetCount = 0;
  leaseCount = 0;
  readonly id: Uint16Array;
  /** RX flags of a data slot. */
  readonly flags: Uint16Array;
  /** Bytes of a data slot; 0 marks an extra info. */
  readonly size: Uint16Array;
  readonly firstCopy: Uint16Array;
  readonly extraFirst: Int32Array;
  readonly extraSecond: Int32Array;
  /** Per slot: whether it starts a packet. */
  readonly starts: Uint8Array;
  /** Pages leased until the copies are done. */
  private readonly leases: (LeasedPage | undefined)[] = [];

  constructor(readonly capacity: number) {
    this.id = new Uint16Array(capacity);
    this.flags = new Uint16Array(capacity);
    this.size = new Uint16Array(capacity);
    this.firstCopy = new Uint16Array(capacity + 1);
    this.extraFirst = new Int32Array(capacity);
    this.extraSecond = new Int32Array(capacity);
    this.starts = new Uint8Array(capacity);
  }

  addData(id: number, flags: number, size: number, firstCopy: number, starts: boolean): void {
    const slot = this.slotCount;
    this.id[slot] = id;
    this.flags[slot] = flags;
    this.size[slot] = size;
    this.firstCopy[slot] = firstCopy;
    this.starts[slot] = starts ? 1 : 0;
    this.slotCount = slot + 1;
  }

  addExtra(first: number, second: number, firstCopy: number): void {
    const slot = this.slotCount;
    this.size[slot] = 0;
    this.extraFirst[slot] = first;
    this.extraSecond[slot] = second;
    this.firstCopy[slot] = firstCopy;
    this.starts[slot] = 0;
    this.slotCount = slot + 1;
  }

  /** Ends a packet. */
  end(copyCount: number): void {
    this.packetCount += 1;
    this.firstCopy[this.slotCount] = copyCount;
  }

  /** Takes over one lease of a page whose bytes are about to be copied. */
  hold(page: LeasedPage): void {
    this.leases[this.leaseCount] = page;
    this.leaseCount += 1;
  }

  clear(): void {
    for (let index = 0; index < this.leaseCount; index += 1) {
      this.leases[index]?.release();
      this.leases[index] = undefined;
    }
    this.slotCount = 0;
    this.packetCount = 0;
    this.leaseCount = 0;
  }
}
