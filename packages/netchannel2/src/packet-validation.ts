/**
 * What a receiver checks of a PACKET before it touches a grant (spec `vif2.md` §7). Works on the private copy; the prefix
 * bytes are not looked at.
 *
 * @packageDocumentation
 */
import {
  LARGEST_FRAME,
  LARGEST_PREFIX,
  PacketFlag,
  PacketType,
  SegmentationType,
  SMALLEST_FRAME,
} from './packet';
import { ABSURD_FRAGMENT_COUNT, type PacketHead } from './packet-head';

/**
 * Violations that end the connection; to be asked before the fragments are read.
 *
 * @param bypass the message came on a bypass ring, where receiver_map is forbidden.
 * @returns what is wrong, or `undefined`.
 */
export function packetFault(head: PacketHead, bypass = false): string | undefined {
  if (head.prefixSize > LARGEST_PREFIX) return 'PACKET with a prefix of more than 256 bytes';
  const fragments = head.fragments;
  if (fragments < 0) return 'PACKET prefix beyond the message';
  const type = head.type;
  if (type === PacketType.small) return fragments === 0 ? undefined : 'small PACKET with fragments';
  if (type === PacketType.receiverMap) {
    if (bypass) return 'receiver_map PACKET on a bypass ring';
  } else if (type !== PacketType.receiverCopy) return 'PACKET of an unknown type';
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
 * Violations that cost only the packet. Needs the fragments of a packet without a {@link packetFault}.
 *
 * @param maxFragments what was advertised to the peer.
 */
export function packetDrop(head: PacketHead, maxFragments: number): PacketDrop | undefined {
  if (head.fragments > maxFragments) return PacketDrop.fragmentLimit;
  if (head.badRange) return PacketDrop.fragmentRange;
  const length = head.length;
  if (length < SMALLEST_FRAME || length > LARGEST_FRAME) return PacketDrop.length;
  if ((head.flags & PacketFlag.csumBlank) !== 0 && head.csumStart + head.csumOffset + 2 > length) {
    return PacketDrop.checksumRange;
  }
  const segmentation = head.segmentation;
  if (segmentation === SegmentationType.none) return undefined;
  const { mss } = head;
  return segmentation !== SegmentationType.tcpv4 || mss === 0 || mss > length
    ? PacketDrop.segmentation
    : undefined;
}
