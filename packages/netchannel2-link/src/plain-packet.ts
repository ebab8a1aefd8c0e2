import {
  LARGEST_PREFIX,
  messageSize,
  PACKET_FIXED_SIZE,
  PACKET_FRAGMENT_SIZE,
  PacketFlag,
  PacketType,
  SMALLEST_FRAME,
  type UringConsumer,
} from '@netchannel2/netchannel2';
import { type GrantRef, PAGE_SIZE } from '@netchannel2/xen';

/** Bits of a PACKET's third word that a plain packet has not: a segmentation type, a blank checksum. */
export const NOT_PLAIN = 0x00ff0000 | (PacketFlag.csumBlank << 8);

/**
 * A packet as most are: inline as a whole, or a prefix and one fragment, together at most a page, without offloads. The one
 * statement of these rules in TypeScript; `receive.wat` has them for kernels; `receive-several.wat` and `forward.wat`, which take a few
 * fragments of any length, have their own.
 */
export class PlainPacket {
  id = 0;
  flags = 0;
  /** Inline bytes, and where in the ring they are. */
  prefix = 0;
  offset = 0;
  /** Bytes of the fragment; 0: there is none, and the packet needs no FINISH. */
  size = 0;
  from = 0;
  ref: GrantRef = 0 as GrantRef;

  /**
   * Takes the PACKET the consumer stands on apart, by one look at each word.
   *
   * @returns `false` when it is anything else, or breaks a rule: what is here means nothing then.
   */
  read(consumer: UringConsumer): boolean {
    const { words, messageWord: at } = consumer;
    const kind = words[at + 2] as number;
    const prefix = (words[at + 3] as number) & 0xffff;
    if ((kind & NOT_PLAIN) !== 0 || prefix > LARGEST_PREFIX) return false;
    const fragments = (messageSize(consumer.header) - PACKET_FIXED_SIZE - prefix) >> 3;
    this.prefix = prefix;
    this.flags = (kind >>> 8) & 0xff;
    const type = kind & 0xff;
    if (type === PacketType.small) {
      this.size = 0;
      this.offset = consumer.messageOffset + PACKET_FIXED_SIZE;
      return fragments === 0 && prefix >= SMALLEST_FRAME;
    }
    if (type !== PacketType.receiverCopy || fragments !== 1) return false;
    const range = words[at + 5] as number;
    const size = range & 0xffff;
    const from = range >>> 16;
    const length = prefix + size;
    this.id = words[at + 1] as number;
    this.ref = words[at + 6] as GrantRef;
    this.offset = consumer.messageOffset + PACKET_FIXED_SIZE + PACKET_FRAGMENT_SIZE;
    this.size = size;
    this.from = from;
    return size > 0 && from + size <= PAGE_SIZE && length >= SMALLEST_FRAME && length <= PAGE_SIZE;
  }
}
