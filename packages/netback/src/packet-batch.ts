import { FRAGMENTS_READ, type TxSlotGroup } from '@netchannel2/netif';
import { type GrantRef, grantRef } from '@netchannel2/xen';

/** Packets of one pass, and of one batch of copies. */
export const PASS_PACKETS = 64;

/** Data slots of one pass. */
export const PASS_SLOTS_MAX = PASS_PACKETS * (FRAGMENTS_READ + 1);

/**
 * Packets taken off a TX ring and not answered yet: plain numbers in arrays made once, so that a batch allocates nothing.
 * The data slots of packet `p` are the entries from `firstSlot[p]` to `firstSlot[p + 1]`.
 */
export class PacketBatch {
  packetCount = 0;
  slotCount = 0;
  readonly firstSlot = new Uint16Array(PASS_PACKETS + 1);
  readonly total = new Uint16Array(PASS_PACKETS);
  readonly flags = new Uint16Array(PASS_PACKETS);
  readonly extraCount = new Uint8Array(PASS_PACKETS);
  readonly gsoSize = new Uint16Array(PASS_PACKETS);
  readonly gsoType = new Uint8Array(PASS_PACKETS);
  readonly slotId = new Uint16Array(PASS_SLOTS_MAX);
  readonly slotOffset = new Uint16Array(PASS_SLOTS_MAX);
  readonly slotSize = new Uint16Array(PASS_SLOTS_MAX);
  private readonly slotRefs = new Int32Array(PASS_SLOTS_MAX);

  /** Whether another packet may be added. */
  get full(): boolean {
    return this.packetCount === PASS_PACKETS;
  }

  /** Keeps what the group says; the group may be used again. Answers the packet's place. */
  add(group: TxSlotGroup): number {
    const packet = this.packetCount;
    let slot = this.slotCount;
    this.firstSlot[packet] = slot;
    this.total[packet] = group.total;
    this.flags[packet] = group.flags;
    this.extraCount[packet] = group.extraCount;
    this.gsoSize[packet] = group.gsoSize;
    this.gsoType[packet] = group.gsoType;
    const count = group.dataCount;
    for (let index = 0; index < count; index += 1, slot += 1) {
      this.slotId[slot] = group.ids[index] as number;
      this.slotRefs[slot] = group.grefs[index] as number;
      this.slotOffset[slot] = group.offsets[index] as number;
      this.slotSize[slot] = group.sizes[index] as number;
    }
    this.packetCount = packet + 1;
    this.slotCount = slot;
    this.firstSlot[packet + 1] = slot;
    return packet;
  }

  slotRef(slot: number): GrantRef {
    return grantRef((this.slotRefs[slot] as number) >>> 0);
  }

  clear(): void {
    this.packetCount = 0;
    this.slotCount = 0;
  }
}
