/**
 * Packets in two or three fragments are received in runs, with those between them; others one by one. From a frontend that is
 * raw, so that each word is the test's: what arrives, and what is finished, is the same with kernels and without.
 */
import { SeededRandom } from '@netchannel2/testing';
import type { Frame } from '@netchannel2/xen';
import { describe, expect, it } from 'vitest';
import { randomPacket, toSecond } from './raw-neighbours';
import { digestOf, type Fragment, ids, rawSender } from './raw-sender';

const ROUNDS = 300;
const RING_BYTES = 4096;

describe('by kernels', () => {
  it.each([
    [1, 0],
    [2, 8],
    [3, 8],
    [4, 0],
  ])('of eight packets in %i fragments %i are taken in runs', async (count, runs) => {
    const { received, taken, show, whole, arrival, close } = await rawSender();
    const packets = new Array<readonly Fragment[]>(8).fill(whole(count));
    expect(await show(packets)).toEqual(ids(8));
    expect(taken.count).toBe(runs);
    expect(received.map(digestOf)).toEqual(packets.map((fragments, index) => arrival(index + 1, fragments)));
    await close();
  });

  it.each([0, 14, 20, 80, 256])('bytes lie one behind the other, with a prefix of %i', async (prefix) => {
    const { received, taken, show, piece, arrival, close } = await rawSender();
    const ends = [4095, 4096, 4097, 8191, 8192, 8193, 12288].map((length) => length - prefix);
    const shapes = ends.flatMap((length) => {
      const rest = Math.max(1, length - 4096 - 1000);
      return [
        [piece(Math.min(4096, length - 1), 0), piece(Math.min(4096, Math.max(1, length - 4096)), 1)],
        [piece(Math.min(4096, rest), 0), piece(1000, 1, 3000), piece(4096, 2)],
        [piece(1, 3, 4095), piece(4096, 2), piece(1, 1, 17)],
      ];
    });
    for (let from = 0; from < shapes.length; from += 3) {
      const some = shapes.slice(from, from + 3);
      received.length = 0;
      expect(await show(some, prefix)).toEqual(ids(3));
      expect(received.map(digestOf)).toEqual(
        some.map((fragments, index) => arrival(index + 1, fragments, prefix)),
      );
    }
    expect(taken.count).toBe(shapes.length);
    await close();
  });

  it('packets of every kind between them arrive in their places', async () => {
    const { received, taken, show, whole, piece, arrival, close } = await rawSender();
    const kinds = [
      whole(3),
      [],
      [piece(1400, 0)],
      whole(2),
      whole(1),
      whole(4),
      [piece(60, 1)],
      whole(3),
      [],
    ];
    const shapes = [...kinds, ...kinds];
    const finished = shapes.flatMap((fragments, index) => (fragments.length === 0 ? [] : `${index + 1} 0`));
    expect(await show(shapes)).toEqual(finished);
    expect(received.map(digestOf)).toEqual(shapes.map((fragments, index) => arrival(index + 1, fragments)));
    // Those in two or three fragments, and what follows them.
    expect(taken.count).toBeGreaterThanOrEqual(6);
    await close();
  });

  it.each([
    ['empty', [0, 100]],
    ['a byte behind its page', [4096, 1]],
    ['behind its page', [1, 4096]],
    ['far behind its page', [0xffff, 0xffff]],
  ] as const)(
    'a fragment that is %s, at any place, costs its packet and no other',
    async (_, [size, from]) => {
      const { back, device, received, show, whole, refs, arrival, close } = await rawSender();
      let dropped = 0;
      for (const count of [1, 2, 3]) {
        for (let bad = 0; bad < count; bad += 1) {
          const broken = whole(count).map((each, part) =>
            part === bad ? ([size, from, refs[0] ?? 0] as const) : each,
          );
          received.length = 0;
          const shapes = [whole(count), whole(3), broken, whole(count), whole(2)];
          expect(await show(shapes)).toEqual(ids(5, [3]));
          const whom = [0, 1, 3, 4];
          expect(received.map(digestOf)).toEqual(
            whom.map((index) => arrival(index + 1, shapes[index] ?? [])),
          );
          dropped += 1;
          expect(back.counters.dropped.fragmentRange).toBe(dropped);
        }
      }
      expect(device.failures).toEqual([]);
      await close();
    },
  );

  it('a grant that does not work, at any place, costs its packet and no other', async () => {
    const { back, taken, received, show, whole, arrival, close } = await rawSender();
    for (const count of [2, 3]) {
      for (let bad = 0; bad < count; bad += 1) {
        const broken = whole(count).map((each, part) => (part === bad ? ([4096, 0, 9000] as const) : each));
        received.length = 0;
        taken.count = 0;
        const shapes = [whole(count), broken, whole(2), whole(3)];
        expect(await show(shapes)).toEqual(ids(4, [2]));
        expect(taken.count).toBe(4);
        expect(received.map(digestOf)).toEqual(
          [0, 2, 3].map((index) => arrival(index + 1, shapes[index] ?? [])),
        );
      }
    }
    expect(back.counters.dropped.notObtained).toBe(5);
    await close();
  });

  it('a packet of less than 14 bytes is dropped', async () => {
    const { back, received, show, piece, whole, close } = await rawSender();
    const prefix = 0;
    const tiny = [piece(6, 0), piece(7, 1)];
    expect(await show([whole(2), tiny, [...tiny, piece(1, 2)]], prefix)).toEqual(ids(3, [2]));
    expect(received.map(({ length }) => length)).toEqual([8192, 14]);
    expect(back.counters.dropped.length).toBe(1);
    await close();
  });

  it.each([1, 2])('who takes %i fragments drops packets in three', async (maxFragments) => {
    const { back, received, taken, show, whole, close } = await rawSender({ maxFragments });
    expect(await show([whole(3), whole(maxFragments), whole(3)])).toEqual(ids(3, [1, 3]));
    expect(received.map(({ length }) => length)).toEqual([maxFragments * 4096 + 20]);
    expect(back.counters.dropped.fragmentLimit).toBe(2);
    expect(taken.count).toBe(maxFragments - 1);
    await close();
  });

  it.each([
    [8, 0],
    [9, 1],
  ])('of eight unfinished packets, %i at once end the connection %i times', async (count, failures) => {
    const { device, received, show, whole, close } = await rawSender({ maxPackets: 8 });
    await show(new Array<readonly Fragment[]>(count).fill(whole(3)));
    expect(device.failures).toHaveLength(failures);
    if (failures > 0) expect(String(device.failures[0])).toContain('more unfinished packets than allowed');
    else expect(received).toHaveLength(count);
    await close();
  });

  it.each([2, 5, 4096, -1])('id %i of a packet that is unfinished ends the connection', async (id) => {
    const { device, clock, send, whole, close } = await rawSender();
    send([id, 9, id].flatMap((each) => toSecond(each, whole(3))));
    await clock.settle();
    expect(device.failures).toHaveLength(1);
    expect(String(device.failures[0])).toContain('id of a packet that is still unfinished');
    await close();
  });

  it('more packets than copies or pages are there for arrive', async () => {
    for (const poolPages of [5, 8, 20, 64, 256]) {
      const { back, received, show, whole, arrival, close } = await rawSender({ poolPages, maxPackets: 128 });
      const shapes = Array.from({ length: 40 }, (_, index) => whole(2 + (index & 1)));
      expect(await show(shapes)).toEqual(ids(40));
      expect(received.map(digestOf)).toEqual(shapes.map((fragments, index) => arrival(index + 1, fragments)));
      expect(back.counters.dropped.noBuffer).toBe(0);
      await close();
    }
  });

  it('frames that are kept keep their bytes, and their pages come back', async () => {
    const { back, clock, received, show, whole, arrival, close } = await rawSender({ poolPages: 48 });
    const kept: Frame[] = [];
    let keep = true;
    const keeper = back.frames$.subscribe((frame) => {
      const held = keep && kept.length < 5 ? frame.retain() : undefined;
      keep = !keep;
      if (held !== undefined) kept.push(held);
    });
    const shapes = Array.from({ length: 10 }, (_, index) => whole(2 + (index & 1)));
    for (let round = 0; round < 6; round += 1) expect(await show(shapes)).toEqual(ids(10));
    expect(kept).toHaveLength(5);
    kept.forEach((frame, index) => {
      expect(digestOf(frame.toBytes())).toEqual(arrival(2 * index + 1, shapes[2 * index] ?? []));
      frame.release();
    });
    keeper.unsubscribe();
    received.length = 0;
    expect(await show(shapes)).toEqual(ids(10));
    expect(received).toHaveLength(10);
    await clock.advance(1000);
    await close();
  });

  it.each([0, 3, 7])('a device may go while frame %i of a run is shown', async (which) => {
    const { device, back, clock, received, show, whole, close } = await rawSender();
    let seen = 0;
    let gone: Promise<unknown> | undefined;
    const ending = back.frames$.subscribe(() => {
      if (seen === which) gone = device.disconnect();
      seen += 1;
    });
    await show(new Array<readonly Fragment[]>(8).fill(whole(3)));
    await clock.advance(1000);
    await gone;
    ending.unsubscribe();
    expect(received.length).toBeGreaterThan(which);
    await close();
  });
});

async function conversation(kernels: boolean, seed: number) {
  const random = new SeededRandom(seed);
  const all = await rawSender({ kernels, poolPages: random.pick([24, 256]), maxPackets: 64 });
  const { device, back, clock, refs, received, taken } = all;
  const trace: unknown[] = [];
  const kept: Frame[] = [];
  back.frames$.subscribe((frame) => {
    const held = random.integer(0, 6) === 0 ? frame.retain() : undefined;
    if (held !== undefined) kept.push(held);
  });
  let next = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const words = Array.from({ length: random.integer(1, 12) }, () => {
      next += 1;
      return randomPacket(random, random.integer(0, 80) === 0 ? next - 1 : next & 0xfff, refs);
    }).flat();
    if (words.length * 4 > RING_BYTES / 2) continue;
    all.send(words);
    await clock.settle();
    trace.push(received.splice(0).map(digestOf));
    if (device.failures.length > 0) {
      trace.push(String(device.failures.pop()));
      await all.connect();
    } else trace.push(all.answers());
    while (kept.length > random.integer(0, 6)) kept.shift()?.release();
  }
  for (const frame of kept) frame.release();
  trace.push(JSON.stringify(back.counters));
  const runs = taken.count;
  await all.close();
  return { trace, runs };
}

describe('packets of random words', () => {
  it.each([1, 2, 3, 4])('arrive and are finished alike, by kernels and without, seed %i', async (seed) => {
    const { trace, runs } = await conversation(true, seed);
    expect(runs).toBeGreaterThan(200);
    const plain = await conversation(false, seed);
    expect(plain.runs).toBe(0);
    expect(trace).toEqual(plain.trace);
  });
});
