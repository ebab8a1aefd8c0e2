/**
 * What a receiver makes of a stream of messages, by the words of the specification (spec vif2.md §2.4, §3, §6.3, §7). Written apart
 * from the drivers' codecs and rules, so that both can be held against it.
 */

/** Where the messages arrive. */
export interface ReceivingEnd {
  readonly ring: 'parent' | 'bypass';
  readonly ringBytes: number;
  /** Credit it advertised. */
  readonly maxPackets: number;
  /** Fragments it advertised. */
  readonly maxFragments: number;
  /** On a parent ring: it is a backend that bypasses were agreed on with; it is a frontend of a trusted backend. */
  readonly bypasses?: 'answers' | 'offers' | undefined;
  /** The start-up messages of a bypass or a parent ring have come before. */
  readonly greeted: boolean;
  /** Packets that are over, and finished, as soon as they were looked at. */
  readonly finishesAtOnce?: (fate: PacketFate) => boolean;
}

/** What becomes of a packet that is not fatal. */
export interface PacketFate {
  readonly id: number;
  readonly length: number;
  readonly small: boolean;
  /** Why it is dropped, without a look at its grants. */
  readonly dropped: string | undefined;
  /** Its first bytes, which lie in the message. */
  readonly prefix: Uint8Array;
  readonly fragments: readonly { readonly size: number; readonly from: number; readonly ref: number }[];
}

const SMALLEST: Readonly<Record<number, number>> = {
  1: 8,
  2: 24,
  3: 8,
  4: 8,
  5: 8,
  9: 40,
  10: 40,
  11: 8,
  12: 8,
};
const LARGER: Readonly<Record<number, number>> = { 13: 8, 14: 8, 15: 8, 16: 8, 17: 16 };
const PAD = 255;
const MOST_BAD_RANGES = 16;

export class SpecReceiver {
  /** Packets since the last {@link take}. */
  readonly fates: PacketFate[] = [];
  /** Ids whose FINISH the peer cannot have yet. The user of this class removes those that were finished. */
  readonly unfinished = new Set<number>();
  /** Ids of packets this end has sent, which the peer may finish. */
  readonly sent = new Set<number>();
  private at: number;
  private credit: boolean;
  private badRanges = 0;

  /** @param start byte index its ring stands at. */
  constructor(
    private readonly end: ReceivingEnd,
    start = 0,
  ) {
    this.at = start;
    this.credit = end.greeted;
  }

  /** Reads words that were written side by side and shown together. @returns what is fatal about them, or `undefined`. */
  take(words: readonly number[]): string | undefined {
    this.fates.length = 0;
    const bytes = words.length * 4;
    for (let from = 0; from < bytes; ) {
      const header = words[from >> 2] ?? 0;
      const size = header >>> 16;
      const offset = this.at % this.end.ringBytes;
      const fault =
        framingFault(header, size, bytes - from, offset, this.end.ringBytes) ??
        this.message(header & 0xff, words.slice(from >> 2, (from + size) >> 2));
      if (fault !== undefined) return fault;
      from += size;
      this.at += size;
    }
    return undefined;
  }

  private message(type: number, words: readonly number[]): string | undefined {
    if (type === PAD) return undefined;
    if (!this.allows(type)) return `message type ${type} is forbidden`;
    if (words.length * 4 < (SMALLEST[type] ?? LARGER[type] ?? 0)) return `message type ${type} is too short`;
    const value = words[1] ?? 0;
    switch (type) {
      case 1:
        if (this.credit || value === 0) return 'SET_MAX_PACKETS twice, or of 0';
        this.credit = true;
        return undefined;
      case 2:
        return this.packet(words);
      case 3:
        return this.sent.delete(value | 0) ? undefined : 'FINISH of no packet';
      case 5:
        return value === 0 ? 'SET_MAX_FRAGMENTS of 0' : undefined;
      case 11:
        return 'READY that nobody asked for';
      case 12:
        return 'BYPASS_READY twice';
      default:
        return undefined;
    }
  }

  private allows(type: number): boolean {
    if (type >= 1 && type <= 5) return true;
    const { ring, bypasses } = this.end;
    if (ring === 'bypass') return type === 12;
    if (bypasses === 'answers') return [11, 14, 16, 17].includes(type);
    return bypasses === 'offers' && [9, 10, 13, 15].includes(type);
  }

  private packet(words: readonly number[]): string | undefined {
    const size = words.length * 4;
    const [, id = 0, kind = 0, third = 0, csum = 0] = words;
    const prefix = third & 0xffff;
    const fragments = Math.floor((size - 20 - prefix) / 8);
    const type = kind & 0xff;
    const small = type === 4;
    if (prefix > 256 || 20 + prefix > size) return 'prefix';
    if (![1, 3, 4].includes(type)) return 'packet type';
    if (type === 3 && this.end.ring === 'bypass') return 'receiver_map on a bypass';
    if (small !== (fragments === 0)) return 'fragments that do not go with the type';
    if (fragments > 64) return 'more than 64 fragments';
    if (!small) {
      if (this.unfinished.size >= this.end.maxPackets) return 'credit overrun';
      if (this.unfinished.has(id)) return 'id twice';
      this.unfinished.add(id);
    }
    const pieces = Array.from({ length: fragments }, (_, index) => {
      const range = words[5 + 2 * index] ?? 0;
      return { size: range & 0xffff, from: range >>> 16, ref: words[6 + 2 * index] ?? 0 };
    });
    const length = pieces.reduce((sum, piece) => sum + piece.size, prefix);
    const badRange = pieces.some(({ size: bytes, from }) => bytes === 0 || from + bytes > 4096);
    const dropped = this.reason({ fragments, badRange, length, kind, mss: third >>> 16, csum });
    const start = 20 + 8 * fragments;
    const inline = Uint8Array.from({ length: prefix }, (_, index) => byteOf(words, start + index));
    const fate: PacketFate = { id, length, small, dropped, prefix: inline, fragments: pieces };
    this.fates.push(fate);
    if (this.end.finishesAtOnce?.(fate) === true) this.unfinished.delete(id);
    this.badRanges = dropped === 'fragmentRange' ? this.badRanges + 1 : 0;
    return this.badRanges === MOST_BAD_RANGES ? '16 impossible ranges' : undefined;
  }

  private reason(packet: {
    readonly fragments: number;
    readonly badRange: boolean;
    readonly length: number;
    readonly kind: number;
    readonly mss: number;
    readonly csum: number;
  }): string | undefined {
    const { fragments, badRange, length, kind, mss, csum } = packet;
    if (fragments > this.end.maxFragments) return 'fragmentLimit';
    if (badRange) return 'fragmentRange';
    if (length < 14 || length > 65536) return 'length';
    const blank = (kind & 0x100) !== 0;
    if (blank && (csum & 0xffff) + (csum >>> 16) + 2 > length) return 'checksumRange';
    const segmentation = (kind >>> 16) & 0xff;
    if (segmentation > 1 || (segmentation === 1 && (mss === 0 || mss > length))) return 'segmentation';
    return undefined;
  }
}

const byteOf = (words: readonly number[], index: number): number =>
  ((words[index >> 2] ?? 0) >>> (8 * (index & 3))) & 0xff;

function framingFault(
  header: number,
  size: number,
  available: number,
  offset: number,
  ringBytes: number,
): string | undefined {
  if (size < 8 || size % 8 !== 0) return 'size';
  if (size > available) return 'beyond what was shown';
  if (offset + size > ringBytes) return 'across the end';
  if ((header & 0xff) === PAD) return offset + size === ringBytes ? undefined : 'PAD in the middle';
  return size > ringBytes / 4 ? 'larger than a quarter of the ring' : undefined;
}
