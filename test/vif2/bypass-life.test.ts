import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BypassSite } from './bypass-site';

const TABLES = [1, 2] as const;
const COMBINATIONS = TABLES.flatMap((host) =>
  TABLES.flatMap((first) => TABLES.map((second) => ({ host, guests: [first, second] as const }))),
);

describe.each(COMBINATIONS)('a bypass, tables of dom0 and guests $host, $guests', (options) => {
  let site: BypassSite;
  beforeEach(async () => {
    site = new BypassSite(options);
    await site.start();
  });
  afterEach(async () => {
    expect(await site.finish()).toEqual([]);
  });

  it('comes up, carries both directions without dom0, and goes', async () => {
    await site.open();
    const [first, second] = [site.guest(0), site.guest(1)];
    expect(site.states()).toEqual(['live']);
    const before = site.machine.accounting(site.host.id);
    for (let number = 1; number <= 50; number += 1) {
      expect(site.send(0, 1, number, number % 2 === 0 ? 60 : 1514)).toBe(true);
      expect(site.send(1, 0, number, number % 3 === 0 ? 200 : 4000)).toBe(true);
      await site.clock.settle();
    }
    const numbers = Array.from({ length: 50 }, (_, index) => index + 1);
    expect(first.received).toEqual(numbers);
    expect(second.received).toEqual(numbers);
    expect(first.front.counters).toMatchObject({ bypassFramesSent: 51, bypassFramesReceived: 51 });
    const after = site.machine.accounting(site.host.id);
    for (const cost of [
      'cpuNanoseconds',
      'grantOperations',
      'bytesCopiedBy',
      'notifications',
      'hypercalls',
    ] as const)
      expect(after?.[cost]).toBe(before?.[cost]);
    expect(site.proposer.bypasses[0]?.bytesToBackend).toBeGreaterThan(50 * 64);
    const gone = site.proposer.withdraw();
    await site.clock.settle();
    await gone;
    expect(site.states()).toEqual([]);
    expect(site.send(0, 1, 51, 60)).toBe(true);
    await site.clock.settle();
    expect(second.received.at(-1)).toBe(51);
  });
});
