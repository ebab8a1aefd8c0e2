import type { GrantedFrameHold, LeasedPage } from '@netchannel2/xen';
import { PASS_PACKETS } from './packet-batch';

/**
 * RX slots taken for packets whose copies are not done yet, in ring order: plain numbers in arrays made once. An extra
 * info is a slot without copies whose two words are kept as they will be written.
 */
export class SlotBatch {
  slotCount = 0;
  packetCount = 0;
  readonly id: Uint16Array;
  /** RX flags of a data slot. */
  readonly flags: Uint16Array;
  /** Bytes of a data slot; 0 marks an extra info. */
  readonly size: Uint16Array;
  readonly firstCopy: Uint16Array;
  readonly extraFirst: Int32Array;
  readonly extraSecond: Int32Array;
  /** Slot behind the packet's last one. */
  readonly packetEnd = new Uint16Array(PASS_PACKETS);
  /** Pages leased until the copies are done. */
  private readonly leases: (LeasedPage | undefined)[] = [];
  private leaseCount = 0;
  /** By packet: shares in packets that lie in another guest's grants. */
  private readonly holds: (GrantedFrameHold | undefined)[] = new Array(PASS_PACKETS).fill(undefined);
  private holdCount = 0;

  constructor(readonly capacity: number) {
    this.id = new Uint16Array(capacity);
    this.flags = new Uint16Array(capacity);
    this.size = new Uint16Array(capacity);
    this.firstCopy = new Uint16Array(capacity + 1);
    this.extraFirst = new Int32Array(capacity);
    this.extraSecond = new Int32Array(capacity);
  }

  addData(id: number, flags: number, size: number, firstCopy: number): void {
    const slot = this.slotCount;
    this.id[slot] = id;
    this.flags[slot] = flags;
    this.size[slot] = size;
    this.firstCopy[slot] = firstCopy;
    this.slotCount = slot + 1;
  }

  addExtra(first: number, second: number, firstCopy: number): void {
    const slot = this.slotCount;
    this.size[slot] = 0;
    this.extraFirst[slot] = first;
    this.extraSecond[slot] = second;
    this.firstCopy[slot] = firstCopy;
    this.slotCount = slot + 1;
  }

  /** Ends a packet. */
  end(copyCount: number): void {
    this.packetEnd[this.packetCount] = this.slotCount;
    this.packetCount += 1;
    this.firstCopy[this.slotCount] = copyCount;
  }

  /** Takes over one lease of a page whose bytes are about to be copied. */
  lease(page: LeasedPage): void {
    this.leases[this.leaseCount] = page;
    this.leaseCount += 1;
  }

  /** Takes over a share in the packet ended last, for as long as it is being copied. */
  hold(hold: GrantedFrameHold): void {
    this.holds[this.packetCount - 1] = hold;
    this.holdCount += 1;
  }

  /** Whether the sender of a packet has gone, so that its grants may no longer be what they were. */
  get isStale(): boolean {
    if (this.holdCount === 0) return false;
    for (let packet = 0; packet < this.packetCount; packet += 1) if (this.holds[packet]?.gone) return true;
    return false;
  }

  /** Ends the share in a packet, if there is one. */
  letGo(packet: number, obtained: boolean): void {
    if (this.holdCount === 0) return;
    const hold = this.holds[packet];
    if (hold === undefined) return;
    this.holds[packet] = undefined;
    this.holdCount -= 1;
    hold.release(obtained);
  }

  clear(): void {
    for (let packet = 0; this.holdCount > 0 && packet < this.packetCount; packet += 1)
      this.letGo(packet, false);
    for (let index = 0; index < this.leaseCount; index += 1) {
      this.leases[index]?.release();
      this.leases[index] = undefined;
    }
    this.slotCount = 0;
    this.packetCount = 0;
    this.leaseCount = 0;
  }
}
