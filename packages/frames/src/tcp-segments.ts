import { type Frame, FrameSegmentation } from '@netchannel2/xen';
import type { CopiedPacket } from './copied-packet';
import { PacketHeaders, PROTOCOL_TCP, parseHeaders } from './headers';
import { pseudoHeaderSum } from './pseudo-header';

/** Headers a segment may have: Ethernet with two tags, IP with options or extensions, TCP with options. */
const HEADER_BYTES_MAX = 256;
const TCP_SEQUENCE = 4;
const TCP_FLAGS = 13;
const TCP_CHECKSUM = 16;
const FIN = 0x01;
const PSH = 0x08;
const CWR = 0x80;
const IPV4_LENGTH = 2;
const IPV4_ID = 4;
const IPV4_CHECKSUM = 10;
const IPV6_LENGTH = 4;
const IPV6_HEADER = 40;

/**
 * Cuts a TCP packet that is longer than the wire allows into segments, in software (spec vif.md §6): each gets the
 * packet's headers with length, IP identification, sequence number, flags and checksum of its own. One object is reused.
 */
export class TcpSegments {
  /** Segments of the packet given to `begin`. */
  count = 0;
  /** Bytes of the headers each segment begins with. */
  headerLength = 0;
  private payloadLength = 0;
  private segmentSize = 0;
  private identification = 0;
  private sequence = 0;
  private flags = 0;
  private readonly headers = new PacketHeaders();
  private readonly template = new Uint8Array(HEADER_BYTES_MAX);

  /** Looks at a packet. Answers `false` when it is not TCP as its segmentation says, and cannot be cut. */
  begin(frame: Frame): boolean {
    const { headers } = this;
    parseHeaders(frame, headers);
    const version = frame.segmentation === FrameSegmentation.tcpv4 ? 4 : 6;
    const at = headers.transportOffset;
    if (at === 0 || headers.ipVersion !== version || headers.protocol !== PROTOCOL_TCP) return false;
    const tcpLength = (frame.uint8(at + 12) >> 4) * 4;
    this.headerLength = at + tcpLength;
    this.payloadLength = frame.byteLength - this.headerLength;
    this.segmentSize = frame.segmentSize;
    if (tcpLength < 20 || this.headerLength > HEADER_BYTES_MAX) return false;
    if (this.payloadLength < 0 || this.segmentSize === 0) return false;
    this.count = Math.max(1, Math.ceil(this.payloadLength / this.segmentSize));
    this.identification = frame.uint16(headers.networkOffset + IPV4_ID);
    this.sequence = frame.uint32(at + TCP_SEQUENCE);
    this.flags = frame.uint8(at + TCP_FLAGS);
    frame.copyTo(this.template, 0, 0, this.headerLength);
    return true;
  }

  /** Offset of each segment's TCP header. */
  get transportOffset(): number {
    return this.headers.transportOffset;
  }

  /** Bytes of segment `index`, headers included. */
  lengthOf(index: number): number {
    return this.headerLength + this.payloadOf(index);
  }

  /**
   * Writes segment `index` of `frame`, which was given to `begin`, into `target`, which has pages for it.
   *
   * @param complete whether the checksum is completed; otherwise it stays blank.
   */
  write(frame: Frame, index: number, target: CopiedPacket, complete: boolean): void {
    const { template, headerLength, headers } = this;
    const payload = this.payloadOf(index);
    const transport = headers.transportOffset;
    this.writeNetworkHeader(index, payload);
    put32(template, transport + TCP_SEQUENCE, this.sequence + index * this.segmentSize);
    const last = index === this.count - 1;
    template[transport + TCP_FLAGS] = this.flags & ~((last ? 0 : FIN | PSH) | (index === 0 ? 0 : CWR));
    const length = headerLength - transport + payload;
    put16(template, transport + TCP_CHECKSUM, pseudoHeaderSum(frame, headers, length));
    target.copyBytes(template.subarray(0, headerLength));
    target.copyPart(frame, headerLength + index * this.segmentSize, payload, headerLength);
    if (!complete) return;
    const sum = target.sum(transport, headerLength + payload);
    target.store16(transport + TCP_CHECKSUM, ~sum & 0xffff);
  }

  private payloadOf(index: number): number {
    return Math.min(this.segmentSize, this.payloadLength - index * this.segmentSize);
  }

  private writeNetworkHeader(index: number, payload: number): void {
    const { template, headers, headerLength } = this;
    const network = headers.networkOffset;
    if (headers.ipVersion === 6) {
      put16(template, network + IPV6_LENGTH, headerLength - network - IPV6_HEADER + payload);
      return;
    }
    put16(template, network + IPV4_LENGTH, headerLength - network + payload);
    put16(template, network + IPV4_ID, this.identification + index);
    put16(template, network + IPV4_CHECKSUM, 0);
    put16(template, network + IPV4_CHECKSUM, ~sum16(template, network, headers.transportOffset) & 0xffff);
  }
}

function put16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 8;
  bytes[at + 1] = value;
}

function put32(bytes: Uint8Array, at: number, value: number): void {
  put16(bytes, at, value >>> 16);
  put16(bytes, at + 2, value);
}

/** Folded sum over a range of an even number of bytes. */
function sum16(bytes: Uint8Array, start: number, end: number): number {
  let sum = 0;
  for (let at = start; at < end; at += 2) sum += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}
