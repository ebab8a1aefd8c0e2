/**
 * Messages that are no packet, or none that is allowed, amid a run of packets in several fragments, which is received or handed on: a
 * kernel that walks from one message to the next checks the next as everybody does, and what came before it is not touched by that.
 */
import { describe, expect, it } from 'vitest';
import { BROKEN, header, zeros } from './broken-words';
import { RawNeighbours, toSecond } from './raw-neighbours';
import { digestOf, rawSender } from './raw-sender';

/** A run that is handed on is as long as the first packet lets it be: that is the shortest. */
const PREFIXES = [16, 24, 24, 24, 24, 24, 24, 24];

async function neighbours(kernels: boolean) {
  const all = new RawNeighbours(kernels);
  await all.start();
  const { host, first, second, machine, clock, bridge } = all;
  const pages = first.domain.grants.share(host.id, 4, 'readonly');
  if (pages === undefined) throw new Error('no pages');
  const whole = (count: number) =>
    Array.from({ length: count }, (_, part) => [4096, 0, pages.refs[part] ?? 0] as const);
  const close = async () => {
    for (const { device } of [first, second]) await device.remove();
    pages.end();
    bridge.close();
    await clock.advance(3000);
    expect(machine.leaks()).toEqual([]);
    machine.shutdown();
  };
  return { all, first, second, clock, whole, close };
}

describe.each(['by kernels', 'by TypeScript'] as const)('%s', (how) => {
  const kernels = how === 'by kernels';

  it.each(Object.keys(BROKEN))('%s ends a run and the connection', async (name) => {
    const [words, fault] = BROKEN[name] ?? [() => [], /none/];
    const { device, clock, taken, received, send, piece, whole, close } = await rawSender({ kernels });
    // The first is the shortest, and none needs a second page: how many there may be is told by it.
    const before = [2, 3, 3, 3, 3, 3, 3, 3].flatMap((count, index) =>
      toSecond(
        index + 1,
        Array.from({ length: count }, (_, part) => piece(100, part)),
      ),
    );
    send([...before, ...words(whole)]);
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
    const { received, taken, show, piece, whole, arrival, close } = await rawSender({
      kernels,
      maxPackets: 128,
    });
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

  it.each(Object.keys(BROKEN))(
    '%s behind packets that are handed on ends their run and the connection',
    async (name) => {
      const [words, fault] = BROKEN[name] ?? [() => [], /none/];
      const { all, first, second, clock, whole, close } = await neighbours(kernels);
      const asked = all.asked;
      const before = PREFIXES.flatMap((prefix, index) => toSecond(index + 1, whole(3), prefix));
      first.writer.show([...before, ...words(whole)]);
      await clock.settle();
      expect(first.device.failures).toHaveLength(1);
      expect(String(first.device.failures[0])).toMatch(fault);
      expect(all.asked - asked).toBe(kernels ? 1 : 8);
      expect(all.packets(second)).toHaveLength(8);
      expect(second.device.failures).toEqual([]);
      await close();
    },
  );

  it.each([
    ['the first word of its addresses', 0],
    ['the second', 1],
    ['the third', 2],
  ])('a packet that differs in %s is no part of their run', async (_, word) => {
    const { all, first, second, clock, whole, close } = await neighbours(kernels);
    const asked = all.asked;
    const packets = PREFIXES.map((prefix, index) => toSecond(index + 1, whole(3), prefix));
    const at = 5 + 2 * 3 + word;
    const other = packets[4] ?? [];
    // Locally administered, of one station.
    other[at] = (other[at] ?? 0) ^ 0x01000000;
    first.writer.show(packets.flat());
    await clock.settle();
    expect(all.asked - asked).toBe(kernels ? 3 : 8);
    const arrived = all.packets(second);
    expect(arrived.map(({ words }) => words[at])).toEqual(packets.map((words) => words[at]));
    expect(first.device.failures).toEqual([]);
    await close();
  });

  it('a packet with 15 bytes inline is no part of their run, one with 256 is', async () => {
    const { all, first, second, clock, whole, close } = await neighbours(kernels);
    const asked = all.asked;
    const prefixes = [16, 24, 15, 24, 256, 24];
    first.writer.show(prefixes.flatMap((prefix, index) => toSecond(index + 1, whole(2), prefix)));
    await clock.settle();
    expect(all.asked - asked).toBe(kernels ? 2 : 6);
    expect(all.packets(second).map(({ words }) => (words[3] ?? 0) & 0xffff)).toEqual(prefixes);
    await close();
  });
});
