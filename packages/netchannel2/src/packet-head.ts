/**
 * The private copy a receiver makes of a PACKET before it believes anything in it: every word is fetched once.
 *
 * @packageDocumentation
 */
import { PAGE_SIZE } from '@netchannel2/xen';
import { messageSize } from './message-header';
import { PACKET_FIXED_SIZE } from './packet';

/** More fragments than this end the connection, whatever was advertised. */
export const ABSURD_FRAGMENT_COUNT = 64;

/**
 * A PACKET without its prefix bytes, taken apart. One object is filled again for each message: `read`, then, once
 * `packetFault` is content, `readFragments`.
 */
export class PacketHead {
  /** Bytes of the whole message. */
  size = 0;
  /** Signed 32 bits. */
  id = 0;
  type = 0;
  flags = 0;
  segmentation = 0;
  prefixSize = 0;
  mss = 0;
  csumStart = 0;
  csumOffset = 0;
  /** Number of fragments, which is what room the size leaves; negative when the prefix does not fit. */
  fragments = 0;
  /** Frame length in bytes: prefix and all fragments. */
  length = 0;
  /** A fragment is empty or leaves its page. */
  badRange = false;
  /** Two words for each fragment: size and offset, reference. */
  readonly descriptors = new Int32Array(2 * ABSURD_FRAGMENT_COUNT);

  /** @param header the message's first word, fetched already. */
  read(header: number, words: Int32Array, at: number): void {
    const kind = words[at + 2] as number;
    const prefix = words[at + 3] as number;
    const csum = words[at + 4] as number;
    this.id = words[at + 1] as number;
    this.size = messageSize(header);
    this.type = kind & 0xff;
    this.flags = (kind >>> 8) & 0xff;
    this.segmentation = (kind >>> 16) & 0xff;
    this.prefixSize = prefix & 0xffff;
    this.mss = prefix >>> 16;
    this.csumStart = csum & 0xffff;
    this.csumOffset = csum >>> 16;
    this.fragments = (this.size - PACKET_FIXED_SIZE - this.prefixSize) >> 3;
    this.length = this.prefixSize;
    this.badRange = false;
  }

  /** Reads the fragments, at most {@link ABSURD_FRAGMENT_COUNT}, and adds up the length. */
  readFragments(words: Int32Array, at: number): void {
    const descriptors = this.descriptors;
    const end = 2 * this.fragments;
    let length = this.length;
    for (let index = 0; index < end; index += 2) {
      const range = words[at + 5 + index] as number;
      descriptors[index] = range;
      descriptors[index + 1] = words[at + 6 + index] as number;
      const size = range & 0xffff;
      length += size;
      if (size === 0 || (range >>> 16) + size > PAGE_SIZE) this.badRange = true;
    }
    this.length = length;
  }

  fragmentSize(index: number): number {
    return (this.descriptors[2 * index] as number) & 0xffff;
  }

  fragmentOffset(index: number): number {
    return (this.descriptors[2 * index] as number) >>> 16;
  }

  /** The grant reference, unsigned. */
  fragmentRef(index: number): number {
    return (this.descriptors[2 * index + 1] as number) >>> 0;
  }

  /** Byte offset of the prefix from the start of the message. */
  get prefixOffset(): number {
    return PACKET_FIXED_SIZE + 8 * this.fragments;
  }
}
