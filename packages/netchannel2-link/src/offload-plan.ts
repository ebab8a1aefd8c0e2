import {
  completedChecksum,
  PacketHeaders,
  PROTOCOL_UDP,
  parseHeaders,
  transportChecksumOffset,
} from '@netchannel2/frames';
import { LARGEST_PREFIX, PacketFlag, SegmentationType } from '@netchannel2/netchannel2';
import {
  type DomainMemory,
  type Frame,
  FrameChecksum,
  FrameSegmentation,
  type GrantedFrame,
} from '@netchannel2/xen';
import type { DropReason } from './drop-reasons';

/** The peer's SET_OFFLOAD: nothing until it was received. */
export interface PeerOffload {
  checksum: boolean;
  tcpv4: boolean;
}

/** Whether the peer takes the checksum and segmentation state of `frame` without any change to its bytes. */
export function acceptsOffload(frame: GrantedFrame, peer: PeerOffload): boolean {
  if (frame.checksum === FrameChecksum.blank) {
    const { checksumStart, checksumOffset, byteLength } = frame;
    const known = checksumStart > 0 && checksumOffset > 0 && checksumStart + checksumOffset + 2 <= byteLength;
    if (!known || !peer.checksum) return false;
  }
  if (frame.segmentation === FrameSegmentation.none) return true;
  const { segmentSize } = frame;
  if (segmentSize === 0 || segmentSize > frame.byteLength) return false;
  return frame.segmentation === FrameSegmentation.tcpv4 && peer.tcpv4 && peer.checksum;
}

/**
 * How checksum and segmentation state of one frame travel: as packet fields where the peer takes them, completed here
 * where it does not. One object is filled again for each frame that has such state.
 */
export class OffloadPlan {
  flags = 0;
  segmentation: number = SegmentationType.none;
  mss = 0;
  csumStart = 0;
  csumOffset = 0;
  /** Where to write `checksum` into the packet's inline bytes; -1: nowhere. */
  checksumField = -1;
  checksum = 0;

  private readonly headers = new PacketHeaders();

  clear(): void {
    this.flags = 0;
    this.segmentation = SegmentationType.none;
    this.mss = 0;
    this.csumStart = 0;
    this.csumOffset = 0;
    this.checksumField = -1;
  }

  /** @returns why the frame cannot go to this peer, or `undefined`. */
  fill(memory: DomainMemory, frame: Frame, peer: PeerOffload): DropReason | undefined {
    this.clear();
    if (frame.checksum === FrameChecksum.validated) this.flags = PacketFlag.dataValidated;
    if (frame.segmentation !== FrameSegmentation.none) {
      const allowed = frame.segmentation === FrameSegmentation.tcpv4 && peer.tcpv4 && peer.checksum;
      if (!allowed || frame.segmentSize === 0 || frame.segmentSize > frame.byteLength)
        return 'sendSegmentation';
      this.segmentation = SegmentationType.tcpv4;
      this.mss = frame.segmentSize;
    }
    return frame.checksum === FrameChecksum.blank ? this.fillBlank(memory, frame, peer) : undefined;
  }

  /** For a packet that {@link acceptsOffload} agreed to. */
  pass(frame: GrantedFrame): void {
    this.clear();
    if (frame.checksum === FrameChecksum.validated) this.flags = PacketFlag.dataValidated;
    else if (frame.checksum === FrameChecksum.blank) {
      this.flags = PacketFlag.csumBlank;
      this.csumStart = frame.checksumStart;
      this.csumOffset = frame.checksumOffset;
    }
    if (frame.segmentation === FrameSegmentation.none) return;
    this.segmentation = SegmentationType.tcpv4;
    this.mss = frame.segmentSize;
  }

  private fillBlank(memory: DomainMemory, frame: Frame, peer: PeerOffload): DropReason | undefined {
    let start = frame.checksumStart;
    let offset = frame.checksumOffset;
    const known = start > 0 && offset > 0;
    if (!known || !peer.checksum) {
      parseHeaders(frame, this.headers);
      if (!known) {
        start = this.headers.transportOffset;
        offset = transportChecksumOffset(this.headers.protocol);
        if (start === 0 || offset < 0) return 'sendChecksum';
      }
    }
    if (start + offset + 2 > frame.byteLength) return 'sendChecksum';
    if (peer.checksum) {
      this.flags |= PacketFlag.csumBlank;
      this.csumStart = start;
      this.csumOffset = offset;
      return undefined;
    }
    if (start + offset + 2 > LARGEST_PREFIX) return 'sendChecksum';
    this.checksumField = start + offset;
    this.checksum = completedChecksum(memory, frame, start, this.headers.protocol === PROTOCOL_UDP);
    return undefined;
  }
}
