import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BypassSite } from './bypass-site';

const numbers = (count: number, first = 1) => Array.from({ length: count }, (_, index) => index + first);
const lengths = (count: number) =>
  numbers(count).map((number) => [60, 1514, 200, 4000, 256, 257][number % 6] ?? 60);

const TABLES = [
  { host: 2, guests: [2, 2], lag: 0 },
  { host: 2, guests: [2, 2], lag: 9 },
  { host: 1, guests: [2, 1], lag: 7 },
  { host: 2, guests: [1, 2], lag: 0 },
  { host: 1, guests: [1, 1], lag: 20 },
] as const;

describe.each(TABLES)('order across a switch, tables $host, $guests, parents late by $lag', (tables) => {
  let site: BypassSite;
  beforeEach(async () => {
    site = new BypassSite(tables);
    await site.start();
  });
  afterEach(async () => {
    expect(await site.finish()).toEqual([]);
  });

  it('a stream with the bypass set up after 10: in order, each once', async () => {
    const stream = site.pump(0, 1, lengths(10));
    await site.clock.advance(1);
    expect(stream.sent).toBe(10);
    site.mustPropose();
    const more = 20 + 8 * tables.lag;
    site.pump(0, 1, lengths(more), 11);
    await site.clock.advance(1);
    expect(site.guest(1).received).toEqual(numbers(10 + more));
    expect(site.guest(0).front.counters.bypassFramesSent).toBeGreaterThan(0);
    expect(site.guest(0).front.counters.dropped).toMatchObject({ bypassLost: 0 });
  });

  const step = tables.host === 2 && tables.guests[0] === 2 ? 2 : 6;
  it('a bypass that begins and ends at any moment of a stream loses, repeats and swaps nothing', async () => {
    const count = 40 + 4 * tables.lag;
    let next = 1;
    for (let passes = 0; passes < 24; passes += step) {
      for (const { received } of site.guests) received.length = 0;
      site.pump(0, 1, lengths(count), next);
      site.pump(1, 0, lengths(count), next);
      site.mustPropose();
      site.amid(passes * (1 + (tables.lag >> 1)), () => void site.proposer.withdraw());
      await site.clock.settle();
      // Traffic after the end goes over the parent rings again.
      site.pump(0, 1, lengths(5), next + count);
      site.pump(1, 0, lengths(5), next + count);
      await site.clock.advance(5);
      expect(site.states()).toEqual([]);
      for (const { received } of site.guests) expect(received).toEqual(numbers(count + 5, next));
      next += count + 5;
    }
    expect(site.guest(0).front.counters.bypassFramesSent).toBeGreaterThan(0);
  });
});

describe('order under any sequence of traffic and switches', () => {
  type Step =
    | { readonly kind: 'send'; readonly from: 0 | 1; readonly lengths: readonly number[] }
    | { readonly kind: 'propose' | 'withdraw' | 'settle' }
    | { readonly kind: 'amid'; readonly passes: number; readonly what: 'propose' | 'withdraw' };

  const length = fc.oneof(fc.integer({ min: 18, max: 300 }), fc.constantFrom(1514, 4096, 9000));
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.record({
      kind: fc.constant('send' as const),
      from: fc.constantFrom(0 as const, 1 as const),
      lengths: fc.array(length, { minLength: 1, maxLength: 12 }),
    }),
    fc.record({ kind: fc.constantFrom('propose' as const, 'withdraw' as const, 'settle' as const) }),
    fc.record({
      kind: fc.constant('amid' as const),
      passes: fc.integer({ min: 0, max: 12 }),
      what: fc.constantFrom('propose' as const, 'withdraw' as const),
    }),
  );

  it('each frame arrives once and in order', { timeout: 30_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 5, maxLength: 25 }),
        fc.integer({ min: 0, max: 20 }),
        async (steps, lag) => {
          const site = new BypassSite({ lag });
          await site.start();
          const act = (what: 'propose' | 'withdraw') => {
            if (what === 'withdraw') void site.proposer.withdraw();
            else site.proposer.propose(site.guest(0).back, site.guest(1).back);
          };
          const sent = [0, 0];
          for (const one of steps) {
            if (one.kind === 'send') {
              site.pump(one.from, one.from === 0 ? 1 : 0, one.lengths, (sent[one.from] ?? 0) + 1);
              sent[one.from] = (sent[one.from] ?? 0) + one.lengths.length;
              // The next frames may only follow once these have been taken.
              await site.clock.advance(1);
            } else if (one.kind === 'settle') await site.clock.settle();
            else if (one.kind === 'amid') site.amid(one.passes, () => act(one.what));
            else act(one.kind);
          }
          await site.clock.advance(100);
          expect(site.guest(1).received).toEqual(numbers(sent[0] ?? 0));
          expect(site.guest(0).received).toEqual(numbers(sent[1] ?? 0));
          expect(await site.finish()).toEqual([]);
        },
      ),
      { numRuns: 10, seed: 5 },
    );
  });
});
