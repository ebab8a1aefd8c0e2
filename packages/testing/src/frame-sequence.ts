import { SeededRandom } from './seeded-random';

/** An EtherType for local experiments (IEEE 802): no stack takes such a frame for its own. */
export const ETHERTYPE_EXPERIMENTAL = 0x88b5;

const MAC_LENGTH = 6;
const HEADER_LENGTH = 14;

/** Sizes that sit on either side of a limit somewhere: inline, page and ring borders, the longest frame. */
export const FRAME_SIZES_AT_LIMITS = [
  14, 15, 16, 60, 64, 127, 128, 129, 255, 256, 257, 1500, 1514, 4095, 4096, 4097, 8191, 8192, 8193, 9014,
  16384, 65534, 65535,
] as const;

export interface FrameSequenceOptions {
  /** How many frames; endless when left out. */
  readonly count?: number;
  /** Bytes of each frame: one of these at random, or the range of a `[low, high]` object. Default: 14 … 1514. */
  readonly sizes?: readonly number[] | { readonly low: number; readonly high: number };
  /** Default `02:00:00:00:00:02`. */
  readonly destination?: Uint8Array;
  /** Default `02:00:00:00:00:01`. */
  readonly source?: Uint8Array;
}

/**
 * Ethernet frames with random payload: the same frames for the same seed. Frames of 18 bytes and more carry their number
 * behind the header, so a frame that arrives twice, late or not at all can be named.
 */
export function* frameSequence(seed: number, options: FrameSequenceOptions = {}): Generator<Uint8Array> {
  const random = new SeededRandom(seed);
  const { count = Number.POSITIVE_INFINITY, sizes = { low: HEADER_LENGTH, high: 1514 } } = options;
  const destination = options.destination ?? Uint8Array.of(2, 0, 0, 0, 0, 2);
  const source = options.source ?? Uint8Array.of(2, 0, 0, 0, 0, 1);
  for (let number = 0; number < count; number += 1) {
    const size = 'low' in sizes ? random.integer(sizes.low, sizes.high) : random.pick(sizes);
    yield ethernetFrame(random, size, number, destination, source);
  }
}

/** One frame of exactly `size` bytes. @param size at least 14. */
function ethernetFrame(
  random: SeededRandom,
  size: number,
  number: number,
  destination: Uint8Array,
  source: Uint8Array,
): Uint8Array {
  if (size < HEADER_LENGTH)
    throw new RangeError(`an Ethernet frame has at least ${HEADER_LENGTH} bytes, not ${size}`);
  const frame = new Uint8Array(size);
  frame.set(destination, 0);
  frame.set(source, MAC_LENGTH);
  frame[12] = ETHERTYPE_EXPERIMENTAL >> 8;
  frame[13] = ETHERTYPE_EXPERIMENTAL & 0xff;
  random.fill(frame, HEADER_LENGTH);
  if (size >= HEADER_LENGTH + 4) {
    for (let byte = 0; byte < 4; byte += 1) frame[HEADER_LENGTH + byte] = number >>> (24 - 8 * byte);
  }
  return frame;
}

/** The number a frame of {@link frameSequence} carries, `undefined` for frames too short to carry one. */
export function frameNumber(frame: Uint8Array): number | undefined {
  if (frame.byteLength < HEADER_LENGTH + 4) return undefined;
  let number = 0;
  for (let byte = 0; byte < 4; byte += 1) number = number * 256 + (frame[HEADER_LENGTH + byte] ?? 0);
  return number;
}
