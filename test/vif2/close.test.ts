/** An end that closes sends nothing new and gives its peer a second for what is under way (spec vif2.md §8.2). */
import { describe, expect, it } from 'vitest';
import { BypassSite } from './bypass-site';
import { numberedFrame, type Version, type Vif2Pair, vif2Pair } from './vif2-pair';

type End = 'front' | 'back';

/** Small ones and such that the other end has to copy, more than one pass takes. */
const LENGTHS = [60, 1514, 200, 9000, 300, 64, 4096];
const FRAMES = 80;

const closing = (pair: Vif2Pair, end: End): Promise<void> =>
  end === 'front' ? pair.front.closing() : pair.back.disconnect();

const other = (end: End): End => (end === 'front' ? 'back' : 'front');

const VERSIONS: readonly [Version, Version][] = [
  [1, 1],
  [1, 2],
  [2, 1],
  [2, 2],
];

/** Sends until there is no room. @returns how many frames went. */
function fill(pair: Vif2Pair, end: End): number {
  let sent = 0;
  while (sent < FRAMES && pair[end].send(numberedFrame(LENGTHS[sent % LENGTHS.length] ?? 60, sent)))
    sent += 1;
  expect(sent).toBeGreaterThan(10);
  return sent;
}

async function connected(guest: Version, host: Version): Promise<Vif2Pair> {
  const options = { ringPageOrder: 3 };
  const pair = vif2Pair({ guest, host, front: options, back: options });
  await pair.device.connect();
  await pair.settle();
  return pair;
}

async function finish(pair: Vif2Pair): Promise<void> {
  await pair.device.remove();
  await pair.clock.advance(1000);
  expect(pair.device.failures).toEqual([]);
  expect(pair.machine.leaks()).toEqual([]);
  expect(pair.clock.timers).toBe(0);
  pair.machine.shutdown();
}

describe.each(['front', 'back'] as const)('the %s closes', (end) => {
  describe.each(VERSIONS)('tables of guest v%i and host v%i', (guest, host) => {
    it('what it has sent arrives, and what comes meanwhile is taken', async () => {
      const pair = await connected(guest, host);
      const arrived: Record<End, number> = { front: 0, back: 0 };
      for (const side of ['front', 'back'] as const)
        pair[side].frames$.subscribe((frame) => {
          const length = LENGTHS[arrived[side] % LENGTHS.length] ?? 60;
          expect(Buffer.compare(frame.toBytes(), numberedFrame(length, arrived[side]))).toBe(0);
          arrived[side] += 1;
        });
      const sent: Record<End, number> = { front: fill(pair, 'front'), back: fill(pair, 'back') };
      const before = pair.clock.now();
      const work = closing(pair, end);
      expect(pair[end].send(numberedFrame(60, 0))).toBe(false);
      await pair.clock.during(work);
      expect(pair.clock.now()).toBe(before);
      expect(arrived[other(end)]).toBe(sent[end]);
      expect(arrived[end]).toBe(sent[other(end)]);
      expect(pair[end].unfinished).toBe(0);
      await finish(pair);
    });

    it('a peer that stands still is given a second', async () => {
      const pair = await connected(guest, host);
      const peer = end === 'front' ? pair.host : pair.guest;
      peer.runTurn = () => false;
      fill(pair, end);
      await pair.settle();
      const before = pair.clock.now();
      await pair.clock.during(closing(pair, end));
      expect(pair.clock.now() - before).toBe(1000);
      Reflect.deleteProperty(peer, 'runTurn');
      await finish(pair);
    });
  });

  it('with nothing under way: it waits for nothing', async () => {
    const pair = await connected(2, 2);
    const before = pair.clock.now();
    await closing(pair, end);
    expect(pair.clock.now()).toBe(before);
    await finish(pair);
  });

  it('a peer that breaks the ring meanwhile is not waited for any longer', async () => {
    const pair = await connected(2, 2);
    const peer = end === 'front' ? pair.host : pair.guest;
    peer.runTurn = () => false;
    fill(pair, end);
    await pair.settle();
    const work = closing(pair, end);
    await pair.clock.advance(300);
    const { rings } = pair.front as unknown as {
      rings: { control: { area: { words: Int32Array; base: number } } };
    };
    const { words, base } = rings.control.area;
    // The index the peer consumes at, of the ring this end produces on: word 1 of ring A, of ring B 64 bytes on.
    Atomics.store(words, (base >> 2) + (end === 'front' ? 1 : 17), 1 << 20);
    Reflect.deleteProperty(peer, 'runTurn');
    pair[end].flush();
    const before = pair.clock.now();
    await pair.clock.during(work);
    expect(pair.clock.now() - before).toBeLessThanOrEqual(700);
    await pair.device.remove();
    await pair.clock.advance(1000);
    expect(pair.machine.leaks()).toEqual([]);
    pair.machine.shutdown();
  });
});

it('a guest that died is not waited for', async () => {
  const pair = await connected(2, 2);
  pair.guest.runTurn = () => false;
  fill(pair, 'back');
  await pair.settle();
  pair.machine.destroyDomain(pair.guest.id);
  pair.device.forgetFrontend();
  const before = pair.clock.now();
  await pair.back.disconnect();
  expect(pair.clock.now()).toBe(before);
  pair.back.removed();
  pair.front.removed();
  expect(pair.machine.leaks()).toEqual([]);
  pair.machine.shutdown();
});

it('a guest that closes has what it sent over a bypass delivered, and agrees to no other', async () => {
  const site = new BypassSite();
  await site.start();
  await site.open();
  let sent = 0;
  while (sent < 40 && site.send(0, 1, sent, sent % 2 === 0 ? 60 : 1514)) sent += 1;
  const { front } = site.guest(0);
  const lost = front.counters.dropped.bypassLost;
  await site.clock.during(front.closing());
  expect(site.guest(1).received).toEqual(Array.from({ length: sent }, (_, index) => index));
  expect(site.send(0, 1, sent, 60)).toBe(false);
  expect(front.counters.dropped.bypassLost).toBe(lost);
  expect(await site.finish()).toEqual([]);
});
