/**
 * Messages that are no packet, or none that is allowed, amid a run of packets in several fragments: a kernel that walks from one
 * message to the next checks the next as everybody does, and what came before it is not touched by that.
 */
import { describe, expect, it } from 'vitest';
import { toSecond } from './raw-neighbours';
import { digestOf, rawSender } from './raw-sender';

const RING_BYTES = 4096;
const PACKET = 2;

const header = (type: number, size: number) => type | (size << 16);
const zeros = (count: number) => new Array<number>(count).fill(0);

type Sender = Awaited<ReturnType<typeof rawSender>>;
type Words = (from: Sender) => number[];

/** Words shown behind a run, and what is said of them. */
const BROKEN: Readonly<Record<string, readonly [words: Words, fault: RegExp]>> = {
  'a PACKET of 16 bytes': [() => [header(PACKET, 16), 9, 1, 0], /less than 24/],
  'a PACKET of 8 bytes': [() => [header(PACKET, 8), 9], /less than 24/],
  'a message of no bytes': [() => [header(PACKET, 0), 9], /size/],
  'a PACKET whose size is no multiple of 8': [
    ({ whole }) => {
      const words = toSecond(9, whole(3));
      words[0] = header(PACKET, words.length * 4 - 4);
      return words;
    },
    /size/,
  ],
  'a PACKET that was not shown whole': [({ whole }) => toSecond(9, whole(3)).slice(0, -2), /producer/],
  'a PACKET larger than a quarter of the ring': [
    ({ whole }) => {
      const words = [...toSecond(9, whole(3)), ...zeros(RING_BYTES / 16)];
      words[0] = header(PACKET, words.length * 4);
      words[3] = 20 + RING_BYTES / 4;
      return words;
    },
    /quarter/,
  ],
  'a prefix of 257 bytes': [({ whole }) => toSecond(9, whole(3), 257), /more than 256/],
  'a prefix beyond the message': [
    ({ whole }) => {
      const words = toSecond(9, whole(3));
      words[3] = 200;
      return words;
    },
    /beyond the message/,
  ],
  'a PACKET without fragments': [() => toSecond(9, []).with(2, 1), /without fragments/],
  'a small PACKET with fragments': [({ whole }) => toSecond(9, whole(2)).with(2, 4), /with fragments/],
  'a PACKET of an unknown type': [({ whole }) => toSecond(9, whole(2)).with(2, 5), /unknown type/],
  'a FINISH that looks like a PACKET else': [
    ({ whole }) => {
      const words = toSecond(9, whole(3));
      words[0] = header(3, words.length * 4);
      return words;
    },
    /FINISH/,
  ],
};

describe.each(['by kernels', 'by TypeScript'] as const)('%s', (how) => {
  const kernels = how === 'by kernels';

  it.each(Object.keys(BROKEN))('%s ends a run and the connection', async (name) => {
    const [words, fault] = BROKEN[name] ?? [() => [], /none/];
    const sender = await rawSender({ kernels });
    const { device, clock, taken, received, send, piece, close } = sender;
    // The first is the shortest, and none needs a second page: how many there may be is told by it.
    const before = [2, 3, 3, 3, 3, 3, 3, 3].flatMap((count, index) =>
      toSecond(
        index + 1,
        Array.from({ length: count }, (_, part) => piece(100, part)),
      ),
    );
    send([...before, ...words(sender)]);
    await clock.settle();
    expect(device.failures).toHaveLength(1);
    expect(String(device.failures[0])).toMatch(fault);
    expect(taken.count).toBe(kernels ? 8 : 0);
    expect(received.length).toBeLessThanOrEqual(8);
    await close();
  });

  it('a PACKET across the ring’s end does', async () => {
    const { device, clock, whole, close, raw } = await rawSender({ kernels });
    const { ring } = raw;
    const packet = toSecond(1, whole(3));
    const bytes = packet.length * 4;
    // The first ends so far before the ring's end that the next would cross it.
    const left = (4096 - raw.produced) % bytes;
    const between = left < 8 ? 0 : left - 8;
    const filler = between === 0 ? [] : [header(4, between), 0, ...zeros(between / 4 - 2)];
    const messages = Math.trunc((4096 - raw.produced - between) / bytes);
    ring.write(filler);
    for (let index = 0; index < messages; index += 1) {
      ring.write(packet.with(1, index + 1));
      if (index < messages - 3) {
        ring.publish();
        device.frontend.notify();
        await clock.settle();
      }
    }
    expect(device.failures).toEqual([]);
    ring.write(packet.with(1, 100));
    ring.publish();
    device.frontend.notify();
    await clock.settle();
    expect(device.failures).toHaveLength(1);
    await close();
  });

  it('what is not plain, or too much, is left to the general way', async () => {
    const { received, taken, show, piece, whole, arrival, close } = await rawSender({
      kernels,
      maxFragments: 2,
    });
    const [two, three] = [
      [piece(100, 0), piece(50, 1)],
      [piece(9, 0), piece(9, 1), piece(9, 2)],
    ];
    expect(await show([two, three, two, whole(1), two])).toEqual(['1 0', '2 1', '3 0', '4 0', '5 0']);
    const shapes = [two, three, two, whole(1), two];
    expect(received.map(digestOf)).toEqual(
      [0, 2, 3, 4].map((index) => arrival(index + 1, shapes[index] ?? [])),
    );
    expect(taken.count).toBe(kernels ? 4 : 0);
    await close();
  });

  it('copies that a batch has no room for wait for the next', async () => {
    const sender = await rawSender({ kernels, maxPackets: 128 });
    const { received, taken, show, piece, whole, arrival, close } = sender;
    // Pages are ready for long packets when they come.
    await show(Array.from({ length: 16 }, () => whole(3)));
    received.length = 0;
    const tiny = [piece(40, 0), piece(50, 1)];
    // A quarter of the ring, and another that begins alike.
    const shapes = Array.from({ length: 45 }, (_, index) => (index < 20 ? tiny : whole(3)));
    const finished = await show(shapes);
    expect(finished).toEqual(shapes.map((_, index) => `${index + 1} 0`));
    expect(taken.copies).toBeLessThanOrEqual(102);
    if (kernels) expect(taken.copies).toBeGreaterThan(66);
    expect(received.map(digestOf)).toEqual(shapes.map((fragments, index) => arrival(index + 1, fragments)));
    await close();
  });
});
