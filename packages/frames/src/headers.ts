import type { FrameView } from '@netchannel2/xen';

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
export const ETHERTYPE_VLAN = 0x8100;
export const ETHERTYPE_SERVICE_VLAN = 0x88a8;
export const ETHERTYPE_IPV6 = 0x86dd;
export const PROTOCOL_TCP = 6;
export const PROTOCOL_UDP = 17;

/** Bytes of an Ethernet header without tags: the shortest thing that is a frame. */
export const ETHERNET_HEADER_LENGTH = 14;

/** IPv6 extension headers looked through before a packet counts as having no known transport. */
const MAX_EXTENSION_HEADERS = 8;
const MAX_VLAN_TAGS = 2;

/**
 * Where the parts of a packet lie, filled by {@link parseHeaders}. One object is reused for many packets.
 */
export class PacketHeaders {
  /** Of the innermost Ethernet payload; 0 where the frame is too short. */
  etherType = 0;
  /** Offset of the network header. */
  networkOffset = 0;
  /** 4, 6 or 0 when it is no IP packet. */
  ipVersion = 0;
  /** IP protocol of the transport header, 0 when there is none that can be found. */
  protocol = 0;
  /** Offset of the TCP or UDP header, 0 when there is none (not IP, a fragment, another protocol). */
  transportOffset = 0;
}

/** Finds network and transport headers. Never throws: what cannot be found stays 0. */
export function parseHeaders(frame: FrameView, headers: PacketHeaders): void {
  headers.networkOffset = 0;
  headers.ipVersion = 0;
  headers.protocol = 0;
  headers.transportOffset = 0;
  let offset = 12;
  let etherType = frame.byteLength < ETHERNET_HEADER_LENGTH ? 0 : frame.uint16(offset);
  for (let tags = 0; tags < MAX_VLAN_TAGS && isVlan(etherType); tags += 1) {
    offset += 4;
    etherType = frame.uint16(offset);
  }
  headers.etherType = etherType;
  headers.networkOffset = offset + 2;
  if (etherType === ETHERTYPE_IPV4) parseIpv4(frame, headers);
  else if (etherType === ETHERTYPE_IPV6) parseIpv6(frame, headers);
}

const isVlan = (etherType: number): boolean =>
  etherType === ETHERTYPE_VLAN || etherType === ETHERTYPE_SERVICE_VLAN;

function parseIpv4(frame: FrameView, headers: PacketHeaders): void {
  const at = headers.networkOffset;
  const first = frame.uint8(at);
  const length = (first & 0xf) * 4;
  if (first >> 4 !== 4 || length < 20 || at + length > frame.byteLength) return;
  headers.ipVersion = 4;
  headers.protocol = frame.uint8(at + 9);
  const fragmented = (frame.uint16(at + 6) & 0x3fff) !== 0;
  if (!fragmented) setTransport(frame, headers, at + length);
}

function parseIpv6(frame: FrameView, headers: PacketHeaders): void {
  const at = headers.networkOffset;
  if (frame.uint8(at) >> 4 !== 6 || at + 40 > frame.byteLength) return;
  headers.ipVersion = 6;
  let next = frame.uint8(at + 6);
  let offset = at + 40;
  for (let count = 0; count < MAX_EXTENSION_HEADERS; count += 1) {
    const isOptions = next === 0 || next === 43 || next === 60;
    if (!isOptions) break;
    next = frame.uint8(offset);
    offset += (frame.uint8(offset + 1) + 1) * 8;
    if (offset > frame.byteLength) return;
  }
  headers.protocol = next;
  setTransport(frame, headers, offset);
}

function setTransport(frame: FrameView, headers: PacketHeaders, offset: number): void {
  const shortest = headers.protocol === PROTOCOL_TCP ? 20 : headers.protocol === PROTOCOL_UDP ? 8 : 0;
  if (shortest > 0 && offset + shortest <= frame.byteLength) headers.transportOffset = offset;
}

/** Offset of the checksum field inside the transport header: 16 for TCP, 6 for UDP, -1 for anything else. */
export function transportChecksumOffset(protocol: number): number {
  if (protocol === PROTOCOL_TCP) return 16;
  return protocol === PROTOCOL_UDP ? 6 : -1;
}
