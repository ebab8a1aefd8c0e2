/** A bypass between guests on threads of their own: set-up, switch, traffic and withdrawal race for real. */
import { BypassProposer } from '@netchannel2/netback2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BundledWorker, bundledWorker } from '../bundled-worker';
import type { GuestReport } from './guest.worker';
import { pause, ThreadSite } from './thread-site';

const FRAMES = 4000;

let bundle: BundledWorker;
beforeAll(async () => {
  bundle = await bundledWorker(new URL('./guest.worker.ts', import.meta.url));
}, 60_000);
afterAll(() => bundle.remove());

describe('guests on threads of their own, with a bypass amid their conversation', () => {
  it.each([
    [2, 2],
    [1, 2],
  ] as const)(
    'tables v%i and v%i: whole and in order',
    async (one, two) => {
      const bypasses = new BypassProposer({ policy: { kind: 'manual' } });
      const site = new ThreadSite(bundle, { bypasses });
      const guests = [
        await site.guest(one, { own: 1, other: 2 }),
        await site.guest(two, { own: 2, other: 1 }),
      ];
      for (const guest of guests) await guest.ask(1);
      const [first, second] = site.backends.devices;
      if (first === undefined || second === undefined) throw new Error('not both backends are there');
      const seen = new Set<string>();
      bypasses.bypasses$.subscribe((list) => {
        for (const { state } of list) seen.add(state);
      });
      let withdrawn: Promise<void> | undefined;
      let proposed = false;
      let crossed = 0;
      for (let allowed = 32; ; ) {
        const reports: GuestReport[] = [];
        for (const guest of guests) reports.push(await guest.ask(allowed));
        const slowest = Math.min(...reports.map((report) => report.sent));
        if (!proposed && slowest > FRAMES / 4) {
          proposed = true;
          expect(bypasses.propose(first, second)).toBeUndefined();
        }
        const [bypass] = bypasses.bypasses;
        if (bypass !== undefined) crossed = Math.min(bypass.bytesToBackend, bypass.bytesToFrontend);
        if (withdrawn === undefined && bypass?.state === 'live' && slowest > FRAMES / 2 && crossed > 20_000)
          withdrawn = bypasses.withdraw();
        if (slowest >= FRAMES && withdrawn !== undefined) break;
        if (slowest === allowed) allowed += 32;
        await pause();
      }
      await withdrawn;
      const reports = await site.quiet(guests);
      // Some hundred packets each way, at the least.
      expect(crossed).toBeGreaterThan(20_000);
      expect([...seen]).toEqual(['front', 'back', 'live', 'disabling', 'detaching']);
      expect(site.failures).toEqual([]);
      for (const report of reports) {
        expect(report.wrong).toBe(0);
        expect(report.received).toBeGreaterThan(FRAMES / 2);
      }
      await site.end();
      expect(site.machine.leaks()).toEqual([]);
    },
    60_000,
  );
});
