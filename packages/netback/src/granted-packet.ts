import { TxFlag } from '@netchannel2/netif';
import {
  type DomainId,
  FrameChecksum,
  type FrameSegmentation,
  type GrantedFrame,
  type GrantedFrameHold,
  type GrantRef,
} from '@netchannel2/xen';
import type { HeldPacket } from './held-packet';
import type { PacketBatch } from './packet-batch';
import type { PeekedHead } from './peeked-head';

/** A packet of a batch as forwarders see it: where it lies in its sender's grants. One object is reused. */
export class GrantedPacket implements GrantedFrame {
  readonly headIsPrefix = false;
  readonly checksumStart = 0;
  readonly checksumOffset = 0;
  /** A slot's grant covers its whole page. */
  readonly transitive = false;
  byteLength = 0;
  checksum: FrameChecksum = FrameChecksum.unknown;
  segmentation: FrameSegmentation = 0;
  segmentSize = 0;
  fragmentCount = 0;
  private firstSlot = 0;
  private held: HeldPacket | undefined;

  constructor(
    readonly owner: DomainId,
    readonly head: PeekedHead,
    private readonly batch: PacketBatch,
    /** Emits what was taken in before. */
    readonly deliverEarlier: () => boolean,
  ) {}

  show(packet: number, held: HeldPacket): void {
    const { batch } = this;
    const flags = batch.flags[packet] as number;
    this.held = held;
    this.byteLength = batch.total[packet] as number;
    this.checksum = FrameChecksum.unknown;
    if ((flags & TxFlag.checksumBlank) !== 0) this.checksum = FrameChecksum.blank;
    else if ((flags & TxFlag.dataValidated) !== 0) this.checksum = FrameChecksum.validated;
    // The wire's segmentation types are the frame's.
    this.segmentation = batch.gsoType[packet] as FrameSegmentation;
    this.segmentSize = batch.gsoSize[packet] as number;
    this.firstSlot = batch.firstSlot[packet] as number;
    const isAllHead = this.byteLength === this.head.byteLength;
    this.fragmentCount = isAllHead ? 0 : (batch.firstSlot[packet + 1] as number) - this.firstSlot;
  }

  fragmentRef(index: number): GrantRef {
    return this.batch.slotRef(this.firstSlot + index);
  }

  fragmentOffset(index: number): number {
    return this.batch.slotOffset[this.firstSlot + index] ?? 0;
  }

  fragmentLength(index: number): number {
    return this.batch.slotSize[this.firstSlot + index] ?? 0;
  }

  hold(): GrantedFrameHold {
    const { held } = this;
    if (held === undefined) throw new Error('a granted packet is held before forward() returns');
    held.holders += 1;
    return held;
  }
}
