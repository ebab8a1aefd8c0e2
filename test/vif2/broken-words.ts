import { toSecond } from './raw-neighbours';
import type { Fragment } from './raw-sender';

const RING_BYTES = 4096;
const PACKET = 2;

export const header = (type: number, size: number) => type | (size << 16);
export const zeros = (count: number) => new Array<number>(count).fill(0);

/** @param whole so many fragments, each a whole page. */
type Words = (whole: (count: number) => Fragment[]) => number[];

/** Words shown behind a run of packets, and what is said of them. */
export const BROKEN: Readonly<Record<string, readonly [words: Words, fault: RegExp]>> = {
  'a PACKET of 16 bytes': [() => [header(PACKET, 16), 9, 1, 0], /less than 24/],
  'a PACKET of 8 bytes': [() => [header(PACKET, 8), 9], /less than 24/],
  'a message of no bytes': [() => [header(PACKET, 0), 9], /size/],
  'a PACKET whose size is no multiple of 8': [
    (whole) => {
      const words = toSecond(9, whole(3));
      words[0] = header(PACKET, words.length * 4 - 4);
      return words;
    },
    /size/,
  ],
  'a PACKET that was not shown whole': [(whole) => toSecond(9, whole(3)).slice(0, -2), /producer/],
  'a PACKET larger than a quarter of the ring': [
    (whole) => {
      const words = [...toSecond(9, whole(3)), ...zeros(RING_BYTES / 16)];
      words[0] = header(PACKET, words.length * 4);
      words[3] = 20 + RING_BYTES / 4;
      return words;
    },
    /quarter/,
  ],
  'a prefix of 257 bytes': [(whole) => toSecond(9, whole(3), 257), /more than 256/],
  'a prefix beyond the message': [
    (whole) => {
      const words = toSecond(9, whole(3));
      words[3] = 200;
      return words;
    },
    /beyond the message/,
  ],
  'a PACKET without fragments': [() => toSecond(9, []).with(2, 1), /without fragments/],
  'a small PACKET with fragments': [(whole) => toSecond(9, whole(2)).with(2, 4), /with fragments/],
  'a PACKET of an unknown type': [(whole) => toSecond(9, whole(2)).with(2, 5), /unknown type/],
  'a FINISH that looks like a PACKET else': [
    (whole) => {
      const words = toSecond(9, whole(3));
      words[0] = header(3, words.length * 4);
      return words;
    },
    /FINISH/,
  ],
};
