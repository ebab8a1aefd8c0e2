import { FRAGMENTS_READ, TxStatus } from '@netchannel2/netif';
import type { GrantedFrameHold } from '@netchannel2/xen';
import type { PacketBatch } from './packet-batch';

/** Where a packet is answered once nobody reads its sender's grants any more. */
export interface HeldPacketOwner {
  /** Whether the connection the packet came by has ended. */
  readonly gone: boolean;
  answer(packet: HeldPacket): void;
}

/** A packet that was handed on where it lies, with what its answer needs. Objects are reused. */
export class HeldPacket implements GrantedFrameHold {
  holders = 0;
  /** Whether every holder read the packet. */
  obtained = true;
  /** While the packet is being offered it is not answered: another holder may come. */
  offering = false;
  private owned = true;
  byteLength = 0;
  extraCount = 0;
  dataCount = 0;
  readonly ids = new Uint16Array(FRAGMENTS_READ + 1);

  constructor(private readonly owner: HeldPacketOwner) {}

  get gone(): boolean {
    return this.owner.gone;
  }

  get status(): TxStatus {
    return this.obtained ? TxStatus.okay : TxStatus.error;
  }

  /** Takes over a packet of a batch. */
  begin(batch: PacketBatch, packet: number): void {
    const first = batch.firstSlot[packet] as number;
    this.holders = 0;
    this.obtained = true;
    this.offering = true;
    this.byteLength = batch.total[packet] as number;
    this.extraCount = batch.extraCount[packet] as number;
    this.dataCount = (batch.firstSlot[packet + 1] as number) - first;
    for (let index = 0; index < this.dataCount; index += 1)
      this.ids[index] = batch.slotId[first + index] as number;
  }

  /** The packet is answered elsewhere, whatever its holders say. */
  disown(): void {
    this.owned = false;
  }

  release(obtained: boolean): void {
    if (this.holders === 0) throw new Error('packet released more often than it was held');
    this.holders -= 1;
    if (!obtained) this.obtained = false;
    if (this.holders === 0 && !this.offering && this.owned) this.owner.answer(this);
  }
}
