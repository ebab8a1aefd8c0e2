import { RxFlag, rxSlotsNeeded } from '@netchannel2/netif';
import { type Frame, FrameChecksum } from '@netchannel2/xen';

/** What the slots of one packet to a guest say, apart from its bytes. One object is filled for each packet. */
export class ReceivePacket {
  length = 0;
  /** RX flags of the first slot, without `moreData` and `extraInfo`. */
  flags = 0;
  /** 0 without segmentation. */
  segmentSize = 0;
  segmentation = 0;
  /** Words of a hash extra, both 0 without one. */
  hashFirst = 0;
  hashSecond = 0;

  /** Slots the packet needs in the ring. */
  get slots(): number {
    return rxSlotsNeeded(this.length, (this.segmentSize === 0 ? 0 : 1) + (this.hashFirst === 0 ? 0 : 1));
  }

  set(length: number, flags: number, segmentSize: number, segmentation: number): void {
    this.length = length;
    this.flags = flags;
    this.segmentSize = segmentSize;
    this.segmentation = segmentation;
  }
}

/** RX flags that tell a frame's checksum. */
export function checksumFlags(checksum: Frame['checksum']): number {
  switch (checksum) {
    case FrameChecksum.blank:
      return RxFlag.checksumBlank | RxFlag.dataValidated;
    case FrameChecksum.validated:
      return RxFlag.dataValidated;
    default:
      return 0;
  }
}
