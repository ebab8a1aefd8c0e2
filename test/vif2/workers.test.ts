/** Guests on threads of their own, really parallel, on dom0's bridge: forwarding races with copies, FINISHes and death. */
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

describe('guests on threads of their own', () => {
  it.each([
    [2, 2],
    [1, 2],
    [2, 1],
  ] as const)(
    'tables v%i and v%i: frames cross in both directions, whole and in order',
    async (one, two) => {
      const site = new ThreadSite(bundle);
      const guests = [
        await site.guest(one, { own: 1, other: 2 }),
        await site.guest(two, { own: 2, other: 1 }),
      ];
      // The bridge learns both; what is flooded or refused meanwhile does not matter.
      for (const guest of guests) await guest.ask(1);
      for (let allowed = 32; ; ) {
        const reports: GuestReport[] = [];
        for (const guest of guests) reports.push(await guest.ask(allowed));
        const slowest = Math.min(...reports.map((report) => report.sent));
        if (slowest >= FRAMES) break;
        if (slowest === allowed) allowed += 32;
        await pause();
      }
      for (const report of await site.quiet(guests)) {
        expect(report.wrong).toBe(0);
        // A bridge drops what its next port has no room for; most frames arrive.
        expect(report.received).toBeGreaterThan(FRAMES / 2);
      }
      const forwarded = site.bridge.ports.map((port) => port.counters.forwarded);
      expect(forwarded.every((count) => count > 0)).toBe(true);
      expect(site.failures).toEqual([]);
      await site.end();
      expect(site.machine.leaks()).toEqual([]);
    },
    60_000,
  );

  it.each([1, 2, 3])(
    'one of them dies amid traffic: the other’s device lives, nothing is left (%i)',
    async () => {
      const site = new ThreadSite(bundle);
      const survivor = await site.guest(2, { own: 1, other: 2 });
      const victim = await site.guest(2, { own: 2, other: 1 });
      for (const guest of [survivor, victim]) await guest.ask(1);
      for (const guest of [survivor, victim]) await guest.ask(1_000_000);
      for (let turn = 0; turn < 20; turn += 1) await pause();
      site.machine.destroyDomain(victim.handle.domid);
      while (site.machine.accounting(victim.handle.domid) !== undefined) await pause();
      const another = await site.guest(2, { own: 3, other: 1 });
      const before = await survivor.ask(0);
      // It hears the other one now: how soon is a matter of how its thread gets on.
      for (let total = 16, after = before; after.received === before.received; total += 16) {
        await another.ask(total);
        await pause();
        after = await survivor.ask(0);
      }
      expect(site.failures).toEqual([]);
      await site.end();
      expect(site.machine.leaks()).toEqual([]);
    },
    60_000,
  );
});
