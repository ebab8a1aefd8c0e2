import { createHash } from 'node:crypto';
import type { Frame, FramePort } from '@netchannel2/xen';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { numberedFrame, type Vif2Pair, type Vif2PairOptions, vif2Pair } from './vif2-pair';

const collect = (port: FramePort): Uint8Array[] => {
  const frames: Uint8Array[] = [];
  port.frames$.subscribe((frame) => frames.push(frame.toBytes()));
  return frames;
};
const digests = (frames: readonly Uint8Array[]) =>
  frames.map((frame) => `${frame.length} ${createHash('sha1').update(frame).digest('hex').slice(0, 8)}`);

/** Sends all frames whenever there is room. */
function pump(port: FramePort, frames: readonly Uint8Array[]): () => number {
  let next = 0;
  const go = () => {
    while (next < frames.length && port.send(frames[next] ?? new Uint8Array(0))) next += 1;
  };
  port.writable$.subscribe(go);
  go();
  return () => next;
}

const COMBINATIONS: (Vif2PairOptions & { name: string; order: number })[] = [];
for (const guest of [1, 2] as const) {
  for (const host of [1, 2] as const) {
    for (const order of [0, 1, 4]) {
      const front = { ringPageOrder: order };
      COMBINATIONS.push({
        name: `guest v${guest}, host v${host}, order ${order}`,
        guest,
        host,
        front,
        order,
      });
    }
  }
}
for (const order of [1, 4]) {
  COMBINATIONS.push({
    name: `guest v1, order ${order}, the host maps`,
    guest: 1,
    front: { ringPageOrder: order },
    back: { mapFrom: 0 },
    order,
  });
}

describe.each(COMBINATIONS)('$name', (options) => {
  let pair: Vif2Pair;
  let start: Record<string, number>;

  beforeEach(async () => {
    pair = vif2Pair(options);
    // The first connection leaves behind what the domains keep for the next ones.
    await pair.device.connect();
    await pair.settle();
    await pair.device.disconnect();
    await pair.settle();
    start = pair.resources();
    await pair.device.connect();
    await pair.settle();
  });

  afterEach(async () => {
    await pair.settle();
    expect([pair.front.unfinished, pair.back.unfinished]).toEqual([0, 0]);
    await pair.device.disconnect();
    await pair.settle();
    expect(pair.device.failures).toEqual([]);
    expect(pair.resources()).toEqual(start);
    expect(pair.clock.timers).toBe(0);
    expect(pair.machine.leaks()).toEqual([]);
    pair.machine.shutdown();
  });

  it('comes up', () => {
    expect([pair.front.linkState, pair.back.linkState]).toEqual(['up', 'up']);
  });

  it('frames of all lengths cross in both directions, once and in order', async () => {
    const lengths = [14, 60, 256, 257, 1514, 4095, 4096, 4097, 9000, 65536];
    const frames = Array.from({ length: 400 }, (_, index) => numberedFrame(lengths[index % 8] ?? 60, index));
    frames.push(...lengths.map((length, index) => numberedFrame(length, index)));
    const toHost = collect(pair.back);
    const toGuest = collect(pair.front);
    const sent = [pump(pair.front, frames), pump(pair.back, frames)];
    await pair.settle();
    for (let retry = 0; retry < 40; retry += 1) await pair.clock.advance(5);
    expect(sent.map((count) => count())).toEqual([frames.length, frames.length]);
    expect(digests(toHost)).toEqual(digests(frames));
    expect(digests(toGuest)).toEqual(digests(frames));
  });

  it('frames echoed from where they lie come back whole', async () => {
    const echoed = collect(pair.front);
    pair.back.frames$.subscribe((frame: Frame) => pair.back.send(frame));
    const frames = Array.from({ length: 20 }, (_, index) => numberedFrame(60 + index * 100, index));
    for (const frame of frames) {
      expect(pair.front.send(frame)).toBe(true);
      await pair.settle();
    }
    expect(digests(echoed)).toEqual(digests(frames));
  });

  it('nothing is left when the device goes with frames under way', async () => {
    collect(pair.back);
    for (let index = 0; index < 20; index += 1) {
      pair.front.send(numberedFrame(1514, index));
      pair.back.send(numberedFrame(1514, index));
    }
    await pair.device.disconnect();
    await pair.settle();
    expect(pair.resources()).toEqual(start);
  });
});

describe('one connection after another', () => {
  it('ten times, with traffic, without losing a page or a reference', async () => {
    const pair = vif2Pair();
    const toHost = collect(pair.back);
    let resources: Record<string, number> | undefined;
    for (let round = 0; round < 10; round += 1) {
      await pair.device.connect();
      await pair.settle();
      expect(pair.front.send(numberedFrame(1514, round))).toBe(true);
      await pair.settle();
      expect(toHost).toHaveLength(round + 1);
      await pair.device.disconnect();
      await pair.settle();
      expect(pair.front.send(numberedFrame(60, 1))).toBe(false);
      resources ??= pair.resources();
      expect(pair.resources()).toEqual(resources);
    }
    let completed = 0;
    pair.front.frames$.subscribe({ complete: () => (completed += 1) });
    pair.back.writable$.subscribe({ complete: () => (completed += 1) });
    await pair.device.remove();
    expect(completed).toBe(2);
    pair.machine.shutdown();
  });

  it('a sender that was refused before is told when the link is up', async () => {
    const pair = vif2Pair();
    let writable = 0;
    pair.front.writable$.subscribe(() => {
      writable += 1;
    });
    expect(pair.front.send(numberedFrame(60, 1))).toBe(false);
    await pair.device.connect();
    await pair.settle();
    expect(writable).toBe(1);
    await pair.device.remove();
    pair.machine.shutdown();
  });
});

describe('negotiation', () => {
  it.each<[string, Record<string, string>, RegExp]>([
    ['an older backend', { 'protocol-version': '0' }, /version 0/],
  ])('%s is refused', async (_, backendNodes, message) => {
    const pair = vif2Pair({ backendNodes });
    // What the backend writes comes later than the toolstack's nodes: here only the latter count.
    await expect(pair.front.prepare()).rejects.toThrow(message);
    await pair.device.remove();
    pair.machine.shutdown();
  });

  it('a backend without ring order gets one page, one without receiver_copy gets receiver_map', async () => {
    const pair = vif2Pair();
    const nodes = await pair.front.prepare();
    expect(nodes).toMatchObject({
      'protocol-version': '1',
      'ring-layout': 'prod-cons',
      'ring-page-order': '0',
      'feature-bypass': '0',
      'gnttab-version': '2',
    });
    expect(Object.keys(nodes).filter((node) => /^(prod|cons)-ring-ref/.test(node))).toHaveLength(2);
    await pair.front.disconnect();
    await pair.front.disconnect();
    pair.machine.shutdown();
  });

  it.each<[string, Record<string, string>]>([
    ['a missing reference', { 'ring-page-order': '2' }],
    ['an order above the offer', { 'ring-page-order': '9' }],
    ['a reference that grants nothing', { 'control-ring-ref': '4000' }],
    ['a ring granted twice over', { 'prod-ring-ref-1': '4001' }],
    ['a port that is not there', { 'event-channel': '900' }],
    ['another layout', { 'ring-layout': 'endpoint-owned' }],
  ])('the backend refuses %s and keeps nothing', async (_, wrong) => {
    const pair = vif2Pair();
    const { frontend, prepare } = { frontend: pair.front, prepare: pair.front.prepare.bind(pair.front) };
    Object.assign(frontend, { prepare: async () => ({ ...(await prepare()), ...wrong }) });
    const before = pair.host.memory.freePages;
    await expect(pair.device.connect()).rejects.toMatchObject({ name: 'DeviceError' });
    expect(pair.host.memory.freePages).toBe(before);
    expect(pair.machine.accounting(pair.host.id)).toMatchObject({ mappings: 0 });
    await pair.front.disconnect();
    expect(pair.machine.leaks()).toEqual([]);
    pair.machine.shutdown();
  });

  it('filter-mac lets only the other end’s own address through', async () => {
    const pair = vif2Pair({ backendNodes: { 'filter-mac': '1', 'remote-mac': '00:16:3e:00:00:01' } });
    const toHost = collect(pair.back);
    await pair.device.connect();
    await pair.settle();
    const foreign = numberedFrame(1514, 1);
    foreign[11] = 7;
    pair.front.send(foreign);
    pair.front.send(numberedFrame(1514, 2));
    await pair.settle();
    expect(digests(toHost)).toEqual(digests([numberedFrame(1514, 2)]));
    expect(pair.back.counters.dropped.sourceMac).toBe(1);
    await pair.device.remove();
    pair.machine.shutdown();
  });
});
