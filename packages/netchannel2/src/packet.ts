/**
 * The PACKET message (`netchannel2.h`, spec `vif2.md` §3.2): layout, and writing it to `(words, at)`. Reading is {@link PacketHead}'s.
 *
 * @packageDocumentation
 */
import { MessageType, messageHeader } from './message-header';

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
