/**
 * The PACKET message (`netchannel2.h`, spec `vif2.md` §3.2): layout, and field access over `(words, at)`.
 *
 * @packageDocumentation
 */
import { MessageType, messageHeader, messageSize } from './message-header';

/** Bytes before the fragments. */
export const PACKET_FIXED_SIZE = 20;
export const PACKET_FRAGMENT_SIZE = 8;
export const LARGEST_PREFIX = 256;
/** Frame lengths a PACKET may carry, bytes. */
export const SMALLEST_FRAME = 14;
export const LARGEST_FRAME = 65536;

export const PacketType = { receiverCopy: 1, receiverMap: 3, small: 4 } as const;
export type PacketType = (typeof PacketType)[keyof typeof PacketType];

export const PacketFlag = { csumBlank: 1, dataValidated: 2, bypassCandidate: 4, needEvent: 8 } as const;

export const SegmentationType = { none: 0, tcpv4: 1 } as const;

/** Message size of a packet with `fragments` fragments and `prefix` inline bytes. */
export function packetSize(fragments: number, prefix: number): number {
  return (PACKET_FIXED_SIZE + PACKET_FRAGMENT_SIZE * fragments + prefix + 7) & ~7;
}

/** Word offset of the inline prefix from the message's first word. */
export function packetPrefixWord(fragments: number): number {
  return 5 + 2 * fragments;
}

/** Zeroes the words that hold the padding; write fragments and prefix afterwards, they may share those words. */
export function clearPacketPadding(words: Int32Array, at: number, size: number): void {
  const end = at + (size >> 2);
  words[end - 2] = 0;
  words[end - 1] = 0;
}

/** Writes everything before the fragments. */
export function writePacketHead(
  words: Int32Array,
  at: number,
  size: number,
  id: number,
  type: PacketType,
  flags: number,
  segmentation: number,
  prefixSize: number,
  mss: number,
  csumStart: number,
  csumOffset: number,
): void {
  words[at] = messageHeader(MessageType.packet, 0, size);
  words[at + 1] = id | 0;
  words[at + 2] = type | (flags << 8) | (segmentation << 16);
  words[at + 3] = prefixSize | (mss << 16);
  words[at + 4] = csumStart | (csumOffset << 16);
}

export function writePacketFragment(
  words: Int32Array,
  at: number,
  index: number,
  size: number,
  offset: number,
  ref: number,
): void {
  const fragment = at + 5 + 2 * index;
  words[fragment] = size | (offset << 16);
  words[fragment + 1] = ref | 0;
}

/** The id as a signed 32-bit number. */
export function packetId(words: Int32Array, at: number): number {
  return words[at + 1] ?? 0;
}

/** Any byte a peer wrote; see {@link PacketType}. */
export function packetType(words: Int32Array, at: number): number {
  return (words[at + 2] ?? 0) & 0xff;
}

export function packetFlags(words: Int32Array, at: number): number {
  return ((words[at + 2] ?? 0) >>> 8) & 0xff;
}

export function packetSegmentation(words: Int32Array, at: number): number {
  return ((words[at + 2] ?? 0) >>> 16) & 0xff;
}

export function packetPrefixSize(words: Int32Array, at: number): number {
  return (words[at + 3] ?? 0) & 0xffff;
}

export function packetMss(words: Int32Array, at: number): number {
  return (words[at + 3] ?? 0) >>> 16;
}

export function packetCsumStart(words: Int32Array, at: number): number {
  return (words[at + 4] ?? 0) & 0xffff;
}

export function packetCsumOffset(words: Int32Array, at: number): number {
  return (words[at + 4] ?? 0) >>> 16;
}

/** Number of fragments, which is not transmitted: what room the size leaves. Negative when the prefix does not fit. */
export function packetFragmentCount(words: Int32Array, at: number): number {
  return (messageSize(words[at] ?? 0) - PACKET_FIXED_SIZE - packetPrefixSize(words, at)) >> 3;
}

export function packetFragmentSize(words: Int32Array, at: number, index: number): number {
  return (words[at + 5 + 2 * index] ?? 0) & 0xffff;
}

export function packetFragmentOffset(words: Int32Array, at: number, index: number): number {
  return (words[at + 5 + 2 * index] ?? 0) >>> 16;
}

/** The grant reference, unsigned. */
export function packetFragmentRef(words: Int32Array, at: number, index: number): number {
  return (words[at + 6 + 2 * index] ?? 0) >>> 0;
}

/** Frame length in bytes: prefix and all fragments. */
export function packetLength(words: Int32Array, at: number, fragments: number): number {
  let length = packetPrefixSize(words, at);
  for (let index = 0; index < fragments; index++) length += packetFragmentSize(words, at, index);
  return length;
}
