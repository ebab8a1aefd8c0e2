/**
 * A PACKET as a plain object: for tools, traces and scripted peers. Drivers use the field access of `packet`.
 *
 * @packageDocumentation
 */
import {
  clearPacketPadding,
  type PacketType,
  packetPrefixWord,
  packetSize,
  writePacketFragment,
  writePacketHead,
} from './packet';
import { ABSURD_FRAGMENT_COUNT, PacketHead } from './packet-head';

export interface PacketFragment {
  /** Bytes, 1 … 4096 in a valid packet. */
  readonly size: number;
  /** From the page's start. */
  readonly offset: number;
  readonly ref: number;
}

export interface PacketRecord {
  readonly id: number;
  readonly type: PacketType;
  readonly flags: number;
  readonly segmentation: number;
  readonly mss: number;
  readonly csumStart: number;
  readonly csumOffset: number;
  readonly fragments: readonly PacketFragment[];
  /** The frame's first bytes. */
  readonly prefix: Uint8Array;
}

/** Writes the whole message and returns its size in bytes. */
export function writePacket(words: Int32Array, at: number, packet: PacketRecord): number {
  const count = packet.fragments.length;
  const size = packetSize(count, packet.prefix.length);
  clearPacketPadding(words, at, size);
  writePacketHead(
    words,
    at,
    size,
    packet.id,
    packet.type,
    packet.flags,
    packet.segmentation,
    packet.prefix.length,
    packet.mss,
    packet.csumStart,
    packet.csumOffset,
  );
  packet.fragments.forEach((fragment, index) => {
    writePacketFragment(words, at, index, fragment.size, fragment.offset, fragment.ref);
  });
  const bytes = new Uint8Array(words.buffer, words.byteOffset + 4 * (at + packetPrefixWord(count)));
  bytes.set(packet.prefix);
  return size;
}

/** Takes apart a message whose prefix fits it; a longer claimed prefix reads as the bytes there are. */
export function readPacket(words: Int32Array, at: number): PacketRecord {
  const head = new PacketHead();
  head.read(words[at] ?? 0, words, at);
  const count = Math.min(ABSURD_FRAGMENT_COUNT, Math.max(0, head.fragments));
  if (count === head.fragments) head.readFragments(words, at);
  const fragments = Array.from({ length: count }, (_, index) => ({
    size: head.fragmentSize(index),
    offset: head.fragmentOffset(index),
    ref: head.fragmentRef(index),
  }));
  const start = words.byteOffset + 4 * (at + packetPrefixWord(count));
  const most = words.byteOffset + words.byteLength - start;
  const prefix = new Uint8Array(words.buffer, start, Math.max(0, Math.min(head.prefixSize, most)));
  return {
    id: head.id >>> 0,
    type: head.type as PacketType,
    flags: head.flags,
    segmentation: head.segmentation,
    mss: head.mss,
    csumStart: head.csumStart,
    csumOffset: head.csumOffset,
    fragments,
    prefix: prefix.slice(),
  };
}
