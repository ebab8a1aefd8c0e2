import { describe, expect, it } from 'vitest';
import { BypassSite, type BypassSiteOptions } from './bypass-site';

/** A bypass that is asked for shows itself soon; the policy looks once a second. */
const SECOND = 1000;
const THRESHOLDS = { packets: 10, bytes: 1 << 20, idleBytes: 4096, idleTime: 3000, holdDown: 8000 };

async function begin(options: BypassSiteOptions): Promise<BypassSite> {
  const site = new BypassSite(options);
  await site.start();
  return site;
}

/** So many frames from the first guest to the second, spread over a second. */
async function second(site: BypassSite, frames: number, length = 1514): Promise<void> {
  for (let index = 0; index < frames; index += 1) {
    expect(site.send(0, 1, index + 1, length)).toBe(true);
    await site.clock.advance(SECOND / frames);
  }
}

describe.each([
  { host: 2, guests: [2, 2], what: 'packets in their grants' },
  { host: 1, guests: [1, 1], what: 'copies' },
] as const)('the automatic policy, dom0 forwarding $what', (tables) => {
  it('creates after two busy windows in a row, removes after idleness, and then leaves the pair alone', async () => {
    const site = await begin({ ...tables, policy: { kind: 'automatic', ...THRESHOLDS } });
    await site.clock.advance(2 * SECOND);
    expect(site.clock.timers).toBe(0);
    await second(site, 20);
    await second(site, 5);
    await second(site, 20);
    expect(site.states()).toEqual([]);
    await second(site, 20);
    await second(site, 20);
    expect(site.states()).toEqual(['live']);
    expect(site.guest(0).front.counters.bypassFramesSent).toBeGreaterThan(0);
    for (let count = 0; count < 6; count += 1) await second(site, 40);
    expect(site.states()).toEqual(['live']);
    await site.clock.advance(3 * SECOND + THRESHOLDS.idleTime);
    expect(site.states()).toEqual([]);
    await second(site, 20);
    await second(site, 20);
    expect(site.states()).toEqual([]);
    await site.clock.advance(THRESHOLDS.holdDown);
    for (let count = 0; count < 3; count += 1) await second(site, 20);
    expect(site.states()).toEqual(['live']);
    expect(await site.finish()).toEqual([]);
  });

  it('large packets earn it by their bytes', async () => {
    const site = await begin({ ...tables, policy: { kind: 'automatic', ...THRESHOLDS, bytes: 100_000 } });
    for (let count = 0; count < 3; count += 1) await second(site, 4, 60_000);
    expect(site.states()).toEqual(['live']);
    expect(await site.finish()).toEqual([]);
  });
});

describe('what else decides', () => {
  it('always: the first packet from one guest to another is enough, and idleness changes nothing', async () => {
    const site = await begin({ policy: { kind: 'always' } });
    expect(site.states()).toEqual([]);
    expect(site.send(0, 1, 1, 60)).toBe(true);
    await site.clock.settle();
    const [bypass] = site.proposer.bypasses;
    // Compared by identity: a backend reaches the whole machine.
    expect(bypass?.frontend).toBe(site.guest(0).back);
    expect(bypass?.backend).toBe(site.guest(1).back);
    await site.clock.advance(60 * SECOND);
    expect(site.states()).toEqual(['live']);
    expect(await site.finish()).toEqual([]);
  });

  it('never: nothing is offered or agreed on', async () => {
    const site = await begin({ policy: { kind: 'never' } });
    for (let count = 0; count < 3; count += 1) await second(site, 2000 / 20);
    expect(site.states()).toEqual([]);
    expect(await site.guest(0).device.frontend.prepare()).toMatchObject({ 'feature-bypass': '0' });
    expect(site.proposer.propose(site.guest(0).back, site.guest(1).back)).toMatch(/no guest/);
    expect(await site.finish()).toEqual([]);
  });

  it('broadcasts and floods earn nothing', async () => {
    const site = await begin({ guests: [2, 2, 2], policy: { kind: 'always' } });
    site.introduce();
    site.bridge.forget();
    site.send(0, 2, 1, 60);
    await site.clock.settle();
    // Flooded to both others, meant for one.
    expect(site.proposer.bypasses.map(({ backend }) => backend === site.guest(2).back)).toEqual([true]);
    expect(await site.finish()).toEqual([]);
  });

  it.each([
    ['a pair that is not permitted', { permits: () => false }, /not permitted/],
    ['a rate-limited guest', { backendNodes: { rate: '1000,50000' } }, /no guest/],
    ['an untrusted backend', { frontendNodes: { 'remote-trusted': '0' } }, /no guest/],
    ['a frontend that agrees to none', { front: { maxBypasses: 0 } }, /no guest/],
    ['a guest with none to spare', { backendNodes: { 'max-bypasses': '0' } }, /enough bypasses/],
  ] as const)('%s gets none', async (_, options, reason) => {
    const site = await begin(options);
    expect(site.proposer.propose(site.guest(0).back, site.guest(1).back)).toMatch(reason);
    expect(await site.finish()).toEqual([]);
  });

  it('max-bypasses counts all of a guest, at both ends', async () => {
    const site = await begin({ guests: [2, 2, 2, 2], front: { maxBypasses: 2 } });
    for (const index of [1, 2]) {
      expect(site.proposer.propose(site.guest(0).back, site.guest(index).back)).toBeUndefined();
      await site.clock.settle();
    }
    expect(site.states()).toEqual(['live', 'live']);
    // The backend would allow five; the frontend does not.
    expect(site.proposer.propose(site.guest(0).back, site.guest(3).back)).toBeUndefined();
    await site.clock.settle();
    expect(site.states()).toEqual(['live', 'live']);
    expect(site.guest(0).front.counters.bypassesRefused).toBe(1);
    expect(site.proposer.propose(site.guest(3).back, site.guest(0).back)).toMatch(/left alone/);
    expect(await site.finish()).toEqual([]);
  });

  it('one guest, one unanswered offer', async () => {
    const site = await begin({ guests: [2, 2, 2] });
    expect(site.proposer.propose(site.guest(0).back, site.guest(1).back)).toBeUndefined();
    expect(site.proposer.propose(site.guest(0).back, site.guest(2).back)).toMatch(/has not answered/);
    expect(site.proposer.propose(site.guest(1).back, site.guest(0).back)).toMatch(/one already/);
    await site.clock.settle();
    expect(site.proposer.propose(site.guest(0).back, site.guest(2).back)).toBeUndefined();
    await site.clock.settle();
    expect(await site.finish()).toEqual([]);
  });
});

describe('SUGGEST_BYPASS', () => {
  const text = '02:00:00:00:01:02';

  it('from a trusted guest stands for one busy window, and creates nothing by itself', async () => {
    const site = await begin({ policy: { kind: 'automatic', ...THRESHOLDS } });
    for (let count = 0; count < 5; count += 1) {
      expect(site.guest(0).front.suggestBypass(text)).toBe(true);
      await site.clock.advance(SECOND);
    }
    expect(site.states()).toEqual([]);
    expect(site.guest(0).front.suggestBypass(text)).toBe(true);
    await second(site, 20);
    await site.clock.advance(SECOND);
    expect(site.states()).toEqual(['live']);
    expect(await site.finish()).toEqual([]);
  });

  it('from any other guest stands for nothing', async () => {
    const site = await begin({ trusted: false, policy: { kind: 'automatic', ...THRESHOLDS } });
    expect(site.guest(0).front.suggestBypass(text)).toBe(true);
    await second(site, 20);
    await site.clock.advance(SECOND);
    expect(site.states()).toEqual([]);
    expect(await site.finish()).toEqual([]);
  });

  it('is not sent where no bypasses were agreed on, nor for what is no address', async () => {
    const site = await begin({ policy: { kind: 'never' } });
    expect(site.guest(0).front.suggestBypass(text)).toBe(false);
    expect(() => site.guest(0).front.suggestBypass('nobody')).toThrow(RangeError);
    expect(await site.finish()).toEqual([]);
  });
});

describe('between guests that are not trusted', () => {
  it('a bypass delivers only what its two ends say to each other', async () => {
    const site = await begin({ trusted: false });
    await site.open();
    const [first, second] = [site.guest(0), site.guest(1)];
    site.send(0, 1, 1, 60);
    const forged = new Uint8Array(60);
    forged.set(second.mac, 0);
    forged.set([2, 9, 9, 9, 9, 9], 6);
    expect(first.front.send(forged)).toBe(true);
    await site.clock.settle();
    expect(second.received).toEqual([1]);
    expect(second.front.counters.dropped.sourceMac).toBe(1);
    expect(await site.finish()).toEqual([]);
  });
});
