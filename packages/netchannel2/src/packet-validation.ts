/**
 * What a receiver checks of a PACKET before it touches a grant (spec `vif2.md` §7). Works on a private copy: the fixed
 * part and the fragments; the prefix bytes are not looked at.
 *
 * @packageDocumentation
 */
import { PAGE_SIZE } from '@netchannel2/xen';
import { messageSize } from './message-header';
import {
  LARGEST_FRAME,
  LARGEST_PREFIX,
  PACKET_FIXED_SIZE,
  PacketFlag,
  PacketType,
  packetCsumOffset,
  packetCsumStart,
  packetFlags,
  packetFragmentCount,
  packetFragmentOffset,
  packetFragmentSize,
  packetLength,
  packetMss,
  packetPrefixSize,
  packetSegmentation,
  packetType,
  SegmentationType,
  SMALLEST_FRAME,
} from './packet';

/** More fragments than this end the connection, whatever was advertised. */
export const ABSURD_FRAGMENT_COUNT = 64;

/**
 * Violations that end the connection.
 *
 * @param bypass the message came on a bypass ring, where receiver_map is forbidden.
 * @returns what is wrong, or `undefined`. Needs only the first five words.
 */
export function packetFault(words: Int32Array, at: number, bypass = false): string | undefined {
  const prefix = packetPrefixSize(words, at);
  if (prefix > LARGEST_PREFIX) return 'PACKET with a prefix of more than 256 bytes';
  if (PACKET_FIXED_SIZE + prefix > messageSize(words[at] ?? 0)) return 'PACKET prefix beyond the message';
  const fragments = packetFragmentCount(words, at);
  switch (packetType(words, at)) {
    case PacketType.small:
      return fragments === 0 ? undefined : 'small PACKET with fragments';
    case PacketType.receiverMap:
      if (bypass) return 'receiver_map PACKET on a bypass ring';
      break;
    case PacketType.receiverCopy:
      break;
    default:
      return 'PACKET of an unknown type';
  }
  if (fragments === 0) return 'PACKET without fragments';
  return fragments > ABSURD_FRAGMENT_COUNT ? 'PACKET with more than 64 fragments' : undefined;
}

/** Reasons to drop a packet and answer it, as they appear in counters. */
export const PacketDrop = {
  fragmentLimit: 'fragmentLimit',
  fragmentRange: 'fragmentRange',
  length: 'length',
  checksumRange: 'checksumRange',
  segmentation: 'segmentation',
} as const;
export type PacketDrop = (typeof PacketDrop)[keyof typeof PacketDrop];

/**
 * Violations that cost only the packet. Needs the fixed part and all fragments of a packet without a {@link packetFault}.
 *
 * @param maxFragments what was advertised to the peer.
 */
export function packetDrop(words: Int32Array, at: number, maxFragments: number): PacketDrop | undefined {
  const fragments = packetFragmentCount(words, at);
  if (fragments > maxFragments) return PacketDrop.fragmentLimit;
  for (let index = 0; index < fragments; index++) {
    const size = packetFragmentSize(words, at, index);
    if (size === 0 || packetFragmentOffset(words, at, index) + size > PAGE_SIZE) {
      return PacketDrop.fragmentRange;
    }
  }
  const length = packetLength(words, at, fragments);
  if (length < SMALLEST_FRAME || length > LARGEST_FRAME) return PacketDrop.length;
  if ((packetFlags(words, at) & PacketFlag.csumBlank) !== 0) {
    const field = packetCsumStart(words, at) + packetCsumOffset(words, at);
    if (field + 2 > length) return PacketDrop.checksumRange;
  }
  const segmentation = packetSegmentation(words, at);
  if (segmentation !== SegmentationType.none) {
    const mss = packetMss(words, at);
    if (segmentation !== SegmentationType.tcpv4 || mss === 0 || mss > length) return PacketDrop.segmentation;
  }
  return undefined;
}
