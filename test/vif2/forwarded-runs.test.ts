/**
 * Packets in up to three grants are handed on in runs, and finished in runs; others one by one. Between frontends that are raw, so
 * that each word is seen: what arrives, and what comes back, is the same with kernels and without.
 */
import { createHash } from 'node:crypto';
import { SeededRandom } from '@netchannel2/testing';
import { NO_GRANT_REF } from '@netchannel2/xen';
import { describe, expect, it } from 'vitest';
import { RawNeighbours, type RawPacket, randomPacket, toSecond } from './raw-neighbours';
import { pinGrant } from './status-bits';

const ROUNDS = 250;
const FINISH = 3;
const FINISHED = 0x00080003;
const SHARED = 4;

async function site(kernels: boolean, credit?: number, fragments?: number) {
  const all = new RawNeighbours(kernels, credit, fragments);
  await all.start();
  const { host, first, second, machine, clock } = all;
  const pages = first.domain.grants.share(host.id, SHARED, 'readonly');
  if (pages === undefined) throw new Error('no pages');
  for (let at = 0; at < pages.area.byteLength; at += 1)
    pages.area.bytes[pages.area.base + at] = at * 7 + (at >> 8);
  const answers = () =>
    first.writer
      .hear()
      .filter(({ type }) => type === FINISH)
      .map(({ word, flags }) => `${word} ${flags}`);
  const finish = async (ids: readonly number[], flags = 0) => {
    second.writer.show(ids.flatMap((id) => [FINISHED | (flags << 8), id]));
    await clock.settle();
  };
  const close = async () => {
    for (const { device } of [first, second]) await device.disconnect();
    pages.end();
    all.bridge.close();
    await clock.advance(3000);
    for (const { device } of [first, second]) await device.remove();
    expect(machine.leaks()).toEqual([]);
    expect(clock.timers).toBe(0);
    machine.shutdown();
  };
  const whole = (count: number) =>
    Array.from({ length: count }, (_, part) => [4096, 0, pages.refs[part % SHARED] ?? 0] as const);
  return { all, first, second, host, clock, pages, whole, answers, finish, close };
}

/** What a peer sees of a packet, but for the references, which differ from run to run. */
function seen({ words, fragments, refs }: RawPacket, copies: readonly (Uint8Array | undefined)[]): string {
  const plain = words.slice();
  refs.forEach((_, part) => {
    plain[6 + 2 * part] = 0;
  });
  // Ids are reused in the order in which runs end.
  plain[1] = 0;
  const digest = createHash('sha1').update(new Uint8Array(plain.buffer));
  for (const copy of copies) digest.update(copy ?? 'none');
  return `${fragments.length} ${digest.digest('hex').slice(0, 12)}`;
}

async function conversation(kernels: boolean, seed: number) {
  const { all, first, second, clock, pages, answers, finish, close } = await site(kernels);
  const random = new SeededRandom(seed);
  const copy = all.copier(second);
  const trace: string[] = [];
  const shapes = new Map<number, number>();
  let open: number[] = [];
  let next = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const words = Array.from({ length: random.integer(1, 9) }, () => {
      next += 1;
      return randomPacket(random, random.integer(0, 60) === 0 ? next - 1 : next & 0x3ff, pages.refs);
    });
    const failures = first.device.failures.length;
    first.writer.show(words.flat());
    await clock.settle();
    const packets = all.packets(second);
    for (const each of packets) {
      const { fragments, refs, id } = each;
      const copies = fragments.map(([size, from], part) => copy(refs[part] ?? -1, from, size));
      trace.push(seen(each, copies));
      shapes.set(fragments.length, (shapes.get(fragments.length) ?? 0) + 1);
      if (fragments.length > 0) open.push(id);
    }
    if (first.device.failures.length > failures) {
      trace.push(String(first.device.failures.at(-1)));
      await first.device.disconnect();
      await all.connect(first);
      // The way back is learned again by what is sent.
      await clock.advance(1);
    } else trace.push(answers().sort().join());
    const lost = random.integer(0, 12) === 0;
    // The order of ids is none of the packets'.
    const some = random.integer(0, 4) === 0 ? [] : open;
    open = some === open ? [] : open;
    await finish(some, lost ? 1 : 0);
    trace.push(answers().sort().join());
    if (random.integer(0, 20) === 0) {
      await clock.advance(random.pick([1, 1500, 10_100]));
      all.packets(second);
      trace.push(answers().sort().join());
    }
    // Who has given packets up waits for their FINISHes.
    trace.push(`${first.device.backend.counters.framesReceived} ${second.device.backend.unfinished}`);
  }
  const { ports } = all.bridge;
  trace.push(
    JSON.stringify(
      ports.map(({ counters: { framesIn, bytesIn, framesOut, bytesOut, forwarded } }) => [
        framesIn,
        bytesIn,
        framesOut,
        bytesOut,
        forwarded,
      ]),
    ),
  );
  trace.push(JSON.stringify([first, second].map(({ device }) => device.backend.counters)));
  expect(second.device.failures).toEqual([]);
  for (const count of [0, 1, 2, 3, 4]) expect(shapes.get(count) ?? 0, `${count} grants`).toBeGreaterThan(20);
  await close();
  return trace;
}

describe('packets of random words between two addresses', () => {
  it.each([1, 2, 3, 4])('go on and come back alike, by kernels and without, seed %i', async (seed) => {
    expect(await conversation(true, seed)).toEqual(await conversation(false, seed));
  });
});

describe('by kernels', () => {
  it.each([
    [0, 1],
    [1, 1],
    [2, 1],
    [3, 1],
    [4, 8],
  ])('of eight packets in %i grants the bridge is asked about %i', async (count, asked) => {
    const { all, first, second, clock, whole, answers, finish, close } = await site(true);
    const before = all.asked;
    first.writer.show([1, 2, 3, 4, 5, 6, 7, 8].flatMap((id) => toSecond(id, whole(count))));
    await clock.settle();
    expect(all.asked - before).toBe(asked);
    const packets = all.packets(second);
    expect(packets.map(({ fragments }) => fragments.length)).toEqual(new Array<number>(8).fill(count));
    const ids = count === 0 ? [] : packets.map(({ id }) => id);
    expect(new Set(packets.flatMap(({ refs }) => refs)).size).toBe(8 * count);
    await finish(ids);
    expect(answers()).toEqual(ids.map((_, index) => `${index + 1} 0`));
    await close();
  });

  it('a run ends before a packet of another shape, and before one that breaks a rule', async () => {
    const { all, first, second, clock, whole, answers, finish, close } = await site(true);
    const [bad, longer] = [[4096, 1, 1] as const, whole(3)];
    const shapes = [
      whole(3),
      whole(2),
      whole(3),
      whole(1),
      [],
      whole(2),
      whole(4),
      whole(3),
      [...whole(2), bad],
      longer,
    ];
    first.writer.show(shapes.flatMap((fragments, id) => toSecond(id + 1, fragments)));
    await clock.settle();
    const packets = all.packets(second);
    expect(packets.map(({ fragments }) => fragments.length)).toEqual([3, 2, 3, 1, 0, 2, 4, 3, 3]);
    expect(answers()).toEqual(['9 1']);
    expect(first.device.backend.counters.dropped.fragmentRange).toBe(1);
    await finish(
      packets
        .filter(({ refs }) => refs.length > 0)
        .map(({ id }) => id)
        .reverse(),
    );
    expect(answers().sort()).toEqual([1, 10, 2, 3, 4, 6, 7, 8].map((id) => `${id} 0`));
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
      for (const count of [1, 2, 3]) {
        for (let bad = 0; bad < count; bad += 1) {
          const { all, first, second, clock, pages, whole, answers, finish, close } = await site(true);
          const fragments = whole(count).map((each, part) =>
            part === bad ? ([size, from, pages.refs[0] ?? 0] as const) : each,
          );
          const shapes = [whole(count), whole(count), fragments, whole(count), whole(count)];
          first.writer.show(shapes.flatMap((each, id) => toSecond(id + 1, each)));
          await clock.settle();
          const packets = all.packets(second);
          expect(packets.map(({ refs }) => refs.length)).toEqual(new Array<number>(4).fill(count));
          expect(answers()).toEqual(['3 1']);
          expect(first.device.backend.counters.dropped.fragmentRange).toBe(1);
          await finish(packets.map(({ id }) => id));
          expect(answers().sort()).toEqual(['1 0', '2 0', '4 0', '5 0']);
          expect([first.device.failures, second.device.failures]).toEqual([[], []]);
          await close();
        }
      }
    },
  );

  it.each([1, 2])('who takes %i fragments is handed no packet of three', async (most) => {
    const { all, first, second, clock, whole, finish, close } = await site(true, 64, most);
    first.writer.show([1, 2, 3].flatMap((id) => toSecond(id, whole(3))));
    await clock.settle();
    const copied = all.packets(second);
    for (const { refs } of copied) expect(refs.length).toBeLessThanOrEqual(most);
    await finish(copied.map(({ id }) => id));
    first.writer.show([4, 5, 6].flatMap((id) => toSecond(id, whole(most))));
    await clock.settle();
    const packets = all.packets(second);
    expect(packets.map(({ refs }) => refs.length)).toEqual([most, most, most]);
    await finish(packets.map(({ id }) => id));
    await close();
  });

  it('a sender has half of the credit, whatever its packets lie in; what comes beyond is copied', async () => {
    const { all, first, second, clock, whole, answers, finish, close } = await site(true, 8);
    const forwarded = () => all.bridge.ports[0]?.counters.forwarded ?? 0;
    const before = forwarded();
    first.writer.show([1, 2, 3, 4, 5, 6, 7, 8].flatMap((id) => toSecond(id, whole(3))));
    await clock.settle();
    expect(forwarded() - before).toBe(4);
    expect(answers()).toEqual(['5 0', '6 0', '7 0', '8 0']);
    const packets = all.packets(second);
    expect(packets).toHaveLength(8);
    await finish(packets.map(({ id }) => id));
    expect(answers()).toEqual(['1 0', '2 0', '3 0', '4 0']);
    expect([second.device.backend.unfinished, second.device.failures]).toEqual([0, []]);
    await close();
  });

  it.each([0, 1, 2, 3, 4, 5, 6, 7, 8])('with %i references left nothing is lost for good', async (left) => {
    const { all, first, second, clock, host, whole, answers, finish, close } = await site(true);
    const { entries } = host.grants;
    if (entries === undefined) throw new Error('no table');
    const hoard = [];
    for (let ref = entries.allocate(); ref !== NO_GRANT_REF; ref = entries.allocate()) hoard.push(ref);
    for (const ref of hoard.splice(0, left)) entries.free(ref);
    first.writer.show([1, 2, 3, 4].flatMap((id) => toSecond(id, whole(3))));
    await clock.settle();
    const packets = all.packets(second);
    expect(packets).toHaveLength(Math.trunc(left / 3));
    await finish(packets.map(({ id }) => id));
    for (const ref of hoard) entries.free(ref);
    const answered = answers();
    expect(new Set(answered.map((answer) => answer.split(' ')[0])).size).toBe(4);
    first.writer.show([5, 6, 7, 8].flatMap((id) => toSecond(id, whole(3))));
    await clock.settle();
    const again = all.packets(second);
    expect(again).toHaveLength(4);
    await finish(again.map(({ id }) => id));
    expect(answers()).toEqual(['5 0', '6 0', '7 0', '8 0']);
    await close();
  });

  describe.each([1, 2, 3])('of packets in %i grants', (count) => {
    it('those that are in use at FINISH stay out of use until then, and no others', async () => {
      for (let pinned = 0; pinned < 1 << count; pinned += 1) {
        const { all, first, second, clock, host, whole, answers, finish, close } = await site(true);
        const rounds = async (from: number) => {
          first.writer.show([0, 1, 2, 3, 4].flatMap((id) => toSecond(from + id, whole(count))));
          await clock.settle();
          return all.packets(second);
        };
        const packets = await rounds(1);
        expect(packets).toHaveLength(5);
        const refsOf = (index: number) => packets[index]?.refs ?? [];
        const used = [1, 3, 4].flatMap((index) =>
          refsOf(index).filter((_, part) => ((pinned >> part) & 1) === 1),
        );
        const ends = used.map((ref) => pinGrant(host, ref));
        const { freeRefs } = host.grants;
        await finish(
          packets.map(({ id }) => id),
          1,
        );
        // Who still reads has obtained it, as far as anybody can know.
        const flag = (id: number) => (pinned !== 0 && [2, 4, 5].includes(id) ? 0 : 1);
        expect(answers()).toEqual([1, 2, 3, 4, 5].map((id) => `${id} ${flag(id)}`));
        expect(second.device.backend.unfinished).toBe(0);
        // Three packets that nobody obtained have the next ones copied for ten seconds.
        await clock.advance(10_100);
        const next = await rounds(11);
        expect(next).toHaveLength(5);
        const others = next.flatMap(({ refs }) => refs);
        expect(new Set(others).size).toBe(5 * count);
        expect(others.filter((ref) => used.includes(ref))).toEqual([]);
        expect(new Set(next.map(({ id }) => id)).size).toBe(5);
        await finish(next.map(({ id }) => id));
        for (const end of ends) end();
        await clock.advance(3000);
        expect(host.grants.freeRefs).toBe(freeRefs);
        await close();
      }
    });

    it('the sender is told of those that are not finished within a second, and of those whose receiver goes', async () => {
      const { all, first, second, clock, whole, answers, finish, close } = await site(true);
      const ids = [1, 2, 3, 4, 5];
      first.writer.show(ids.flatMap((id) => toSecond(id, whole(count))));
      await clock.settle();
      const packets = all.packets(second);
      await clock.advance(1300);
      expect(answers()).toEqual(ids.map((id) => `${id} 1`));
      const copy = all.copier(second);
      for (const ref of packets.flatMap(({ refs }) => refs)) expect(copy(ref, 0, 1)).toBeUndefined();
      // Late, and once.
      await finish(packets.map(({ id }) => id));
      expect([second.device.failures, second.device.backend.unfinished]).toEqual([[], 0]);
      await clock.advance(10_100);
      first.writer.show(ids.flatMap((id) => toSecond(id, whole(count))));
      await clock.settle();
      expect(all.packets(second)).toHaveLength(5);
      await second.device.disconnect();
      expect(
        answers()
          .map((answer) => Number(answer.split(' ')[0]))
          .sort(),
      ).toEqual(ids);
      await close();
    });

    it('the owner goes amid: its packets are over for everybody', async () => {
      const { all, first, second, clock, whole, finish, close } = await site(true);
      first.writer.show([1, 2, 3, 4, 5].flatMap((id) => toSecond(id, whole(count))));
      await clock.settle();
      const packets = all.packets(second);
      expect(packets).toHaveLength(5);
      await first.device.disconnect();
      await finish(
        packets.map(({ id }) => id),
        1,
      );
      expect([second.device.backend.unfinished, second.device.failures]).toEqual([0, []]);
      // That was none of the receiver's failures: the next are handed on.
      await all.connect(first);
      const before = all.bridge.ports[0]?.counters.forwarded ?? 0;
      first.writer.show([1, 2, 3].flatMap((id) => toSecond(id, whole(count))));
      await clock.settle();
      expect((all.bridge.ports[0]?.counters.forwarded ?? 0) - before).toBe(3);
      const next = all.packets(second);
      await finish(next.map(({ id }) => id));
      await close();
    });
  });

  it('a FINISH of a packet that is over already ends the connection, amid a run', async () => {
    const { all, first, second, clock, whole, finish, close } = await site(true);
    first.writer.show([1, 2, 3].flatMap((id) => toSecond(id, whole(3))));
    await clock.settle();
    const ids = all.packets(second).map(({ id }) => id);
    await finish([...ids.slice(0, 2), ...ids.slice(0, 1), ...ids.slice(2)]);
    expect(second.device.failures).toHaveLength(1);
    expect(first.device.failures).toEqual([]);
    await close();
  });
});
