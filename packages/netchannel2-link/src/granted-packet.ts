import { HeadView } from '@netchannel2/frames';
import { PacketFlag, type PacketHead, SegmentationType } from '@netchannel2/netchannel2';
import {
  type DomainId,
  FrameChecksum,
  FrameSegmentation,
  type GrantedFrame,
  type GrantedFrameHold,
  type GrantRef,
  type MemoryArea,
} from '@netchannel2/xen';

/** Where a granted packet comes from. */
export interface GrantedPacketSource {
  deliverEarlier(): boolean;
  hold(): GrantedFrameHold;
}

/** The packet a {@link PacketHead} holds, as forwarders see it. One object serves for all packets of a link. */
export class GrantedPacket implements GrantedFrame {
  readonly head: HeadView;
  readonly headIsPrefix = true;
  byteLength = 0;
  checksum: FrameChecksum = FrameChecksum.unknown;
  checksumStart = 0;
  checksumOffset = 0;
  segmentation: FrameSegmentation = FrameSegmentation.none;
  segmentSize = 0;
  transitive = false;
  fragmentCount = 0;
  private firstRef = 0;
  private firstOffset = 0;
  private firstLength = 0;

  /** @param area a page of this domain that nobody else writes; its first bytes take the prefix. */
  constructor(
    private readonly packet: PacketHead,
    area: MemoryArea,
    readonly owner: DomainId,
    private readonly source: GrantedPacketSource,
  ) {
    this.head = new HeadView(area);
  }

  /** Takes over what the packet's head says, the prefix being in the area already. */
  load(transitive: boolean): void {
    const { packet } = this;
    const fragments = packet.fragments;
    this.loadPlain(packet.prefixSize, packet.length, transitive);
    this.fragmentCount = fragments;
    if (fragments > 0) {
      this.firstRef = packet.fragmentRef(0);
      this.firstOffset = packet.fragmentOffset(0);
      this.firstLength = packet.fragmentSize(0);
    }
    if ((packet.flags | packet.segmentation) !== 0) this.loadProperties();
  }

  /** A packet without offloads, whole in its prefix. */
  loadPlain(prefix: number, byteLength: number, transitive: boolean): void {
    this.head.load(0, prefix);
    this.byteLength = byteLength;
    this.fragmentCount = 0;
    this.transitive = transitive;
    if (this.checksum === FrameChecksum.unknown && this.segmentation === FrameSegmentation.none) return;
    this.checksum = FrameChecksum.unknown;
    this.checksumStart = 0;
    this.checksumOffset = 0;
    this.segmentation = FrameSegmentation.none;
    this.segmentSize = 0;
  }

  /** Gives a plain packet its one fragment. */
  loadPiece(ref: number, offset: number, length: number): void {
    this.fragmentCount = 1;
    this.firstRef = ref;
    this.firstOffset = offset;
    this.firstLength = length;
  }

  /** The packet is over. */
  clear(): void {
    this.head.load(0, 0);
    this.byteLength = 0;
    this.fragmentCount = 0;
  }

  fragmentRef(index: number): GrantRef {
    return (index === 0 ? this.firstRef : this.packet.fragmentRef(index)) as GrantRef;
  }

  fragmentOffset(index: number): number {
    return index === 0 ? this.firstOffset : this.packet.fragmentOffset(index);
  }

  fragmentLength(index: number): number {
    return index === 0 ? this.firstLength : this.packet.fragmentSize(index);
  }

  deliverEarlier(): boolean {
    return this.source.deliverEarlier();
  }

  hold(): GrantedFrameHold {
    return this.source.hold();
  }

  private loadProperties(): void {
    const { packet } = this;
    if ((packet.flags & PacketFlag.csumBlank) !== 0) {
      this.checksum = FrameChecksum.blank;
      this.checksumStart = packet.csumStart;
      this.checksumOffset = packet.csumOffset;
    } else if ((packet.flags & PacketFlag.dataValidated) !== 0) this.checksum = FrameChecksum.validated;
    if (packet.segmentation === SegmentationType.tcpv4) {
      this.segmentation = FrameSegmentation.tcpv4;
      this.segmentSize = packet.mss;
    }
  }
}
