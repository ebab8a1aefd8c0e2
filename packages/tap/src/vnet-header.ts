/**
 * `struct virtio_net_hdr`, 10 bytes before each frame of a TAP with offloads (`linux/virtio_net.h`).
 *
 * @packageDocumentation
 */
import { type PacketHeaders, transportChecksumOffset } from '@netchannel2/frames';
import { type Frame, FrameChecksum, FrameSegmentation } from '@netchannel2/xen';

export const VNET_HEADER_BYTES = 10;

const FLAGS = 0;
const GSO_TYPE = 1;
const HEADER_LENGTH = 2;
const GSO_SIZE = 4;
const CHECKSUM_START = 6;
const CHECKSUM_OFFSET = 8;

const NEEDS_CHECKSUM = 1;
const DATA_VALID = 2;

const GSO_TCPV4 = 1;
const GSO_TCPV6 = 4;
/** The first segment carries a TCP congestion mark; who splits the packet keeps it on the first. */
const GSO_ECN = 0x80;

/** What a frame needs besides its bytes; filled by {@link readVnetHeader}. */
export interface PacketOffloads {
  checksum: FrameChecksum;
  checksumStart: number;
  checksumOffset: number;
  segmentation: FrameSegmentation;
  segmentSize: number;
}

function put16(bytes: Uint8Array, offset: number, value: number): void {
  // The machine's own byte order, little-endian wherever Xen runs.
  bytes[offset] = value & 0xff;
  bytes[offset + 1] = value >> 8;
}

function get16(bytes: Uint8Array, offset: number): number {
  return (bytes[offset] as number) | ((bytes[offset + 1] as number) << 8);
}

/**
 * Writes the header of a frame that goes to the kernel.
 *
 * @param headers the frame's, parsed; looked at only where a checksum is blank or segments are to be made.
 * @returns `false` where the kernel cannot be told what the frame lacks: no transport header was found.
 */
export function writeVnetHeader(
  target: Uint8Array,
  at: number,
  frame: Frame,
  headers: PacketHeaders,
): boolean {
  target.fill(0, at, at + VNET_HEADER_BYTES);
  if (frame.checksum === FrameChecksum.validated) target[at + FLAGS] = DATA_VALID;
  if (frame.checksum === FrameChecksum.blank) {
    const field = transportChecksumOffset(headers.protocol);
    if (headers.transportOffset === 0 || field < 0) return false;
    target[at + FLAGS] = NEEDS_CHECKSUM;
    put16(target, at + CHECKSUM_START, headers.transportOffset);
    put16(target, at + CHECKSUM_OFFSET, field);
  }
  if (frame.segmentation === FrameSegmentation.none) return true;
  if (headers.transportOffset === 0) return false;
  const tcpLength = (frame.uint8(headers.transportOffset + 12) >> 4) * 4;
  target[at + GSO_TYPE] = frame.segmentation === FrameSegmentation.tcpv4 ? GSO_TCPV4 : GSO_TCPV6;
  put16(target, at + HEADER_LENGTH, headers.transportOffset + tcpLength);
  put16(target, at + GSO_SIZE, frame.segmentSize);
  return true;
}

/** Reads the header of a frame that came from the kernel. */
export function readVnetHeader(source: Uint8Array, at: number, offloads: PacketOffloads): void {
  const flags = source[at + FLAGS] as number;
  const blank = (flags & NEEDS_CHECKSUM) !== 0;
  if (blank) offloads.checksum = FrameChecksum.blank;
  else offloads.checksum = (flags & DATA_VALID) !== 0 ? FrameChecksum.validated : FrameChecksum.unknown;
  offloads.checksumStart = blank ? get16(source, at + CHECKSUM_START) : 0;
  offloads.checksumOffset = blank ? get16(source, at + CHECKSUM_OFFSET) : 0;
  switch ((source[at + GSO_TYPE] as number) & ~GSO_ECN) {
    case GSO_TCPV4:
      offloads.segmentation = FrameSegmentation.tcpv4;
      break;
    case GSO_TCPV6:
      offloads.segmentation = FrameSegmentation.tcpv6;
      break;
    default:
      offloads.segmentation = FrameSegmentation.none;
  }
  offloads.segmentSize = offloads.segmentation === FrameSegmentation.none ? 0 : get16(source, at + GSO_SIZE);
}
