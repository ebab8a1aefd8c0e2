import { ETHERNET_HEADER_LENGTH, PacketHeaders, parseHeaders } from '@netchannel2/frames';
import { type FrontendFeatures, PACKET_BYTES_MAX } from '@netchannel2/netif';
import {
  FrameChecksum,
  FrameSegmentation,
  type FrameView,
  type GrantedFrame,
  PAGE_SIZE,
} from '@netchannel2/xen';

/** Which packets a guest takes as they are, by the features it asked for. */
export class GuestAbilities {
  /** Of the frame {@link takesBlank} was last asked about, where it had to look. */
  readonly headers = new PacketHeaders();

  constructor(private readonly guest: FrontendFeatures) {}

  /** Whether packets may be spread over several slots. */
  get scatterGather(): boolean {
    return this.guest.scatterGather;
  }

  /** Whether the guest cuts such a packet itself. */
  segments(segmentation: FrameSegmentation): boolean {
    if (!this.guest.scatterGather) return false;
    return segmentation === FrameSegmentation.tcpv4 ? this.guest.gsoTcpv4 : this.guest.gsoTcpv6;
  }

  /** Whether the guest completes the checksum itself; finds the headers when that depends on them. */
  takesBlank(frame: FrameView): boolean {
    const { noChecksumOffload, ipv6ChecksumOffload } = this.guest;
    if (!noChecksumOffload && ipv6ChecksumOffload) return true;
    parseHeaders(frame, this.headers);
    return this.headers.ipVersion === 6 ? ipv6ChecksumOffload : !noChecksumOffload;
  }

  /** Whether the guest takes such a packet as it lies in another guest's grants. */
  takesGranted(frame: GrantedFrame): boolean {
    const { byteLength, segmentation, checksum } = frame;
    if (byteLength < ETHERNET_HEADER_LENGTH || byteLength > PACKET_BYTES_MAX) return false;
    if (byteLength > PAGE_SIZE && !this.guest.scatterGather) return false;
    if (segmentation !== FrameSegmentation.none) {
      if (!this.segments(segmentation) || checksum !== FrameChecksum.blank) return false;
    }
    return checksum !== FrameChecksum.blank || this.takesBlank(frame.head);
  }
}
