/** The recorded conversation between guests on threads of their own: through dom0, and with a bypass that comes and goes. */
import { BypassProposer } from '@netchannel2/netback2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BundledWorker, bundledWorker } from '../bundled-worker';
import { FRAMES, MACS, SAID, speaker } from './conversation';
import { digestOf } from './frame-digest';
import { pause, type ThreadGuest, ThreadSite } from './thread-site';

/** A bridge drops what its next port has no room for, so the conversation goes in pieces that fit. */
const PIECE = 32;
const PIECES = Math.ceil(FRAMES.length / PIECE);

let bundle: BundledWorker;
beforeAll(async () => {
  bundle = await bundledWorker(new URL('./guest.worker.ts', import.meta.url));
}, 60_000);
afterAll(() => bundle.remove());

const macText = (mac: Uint8Array) => [...mac].map((byte) => byte.toString(16).padStart(2, '0')).join(':');

const TABLES = ([1, 2] as const).flatMap((host) =>
  ([1, 2] as const).flatMap((one) => ([1, 2] as const).map((two) => [host, one, two] as const)),
);

describe.each(TABLES)('tables of dom0 v%i, guests on threads of their own v%i and v%i', (host, one, two) => {
  /** Has both say what they say in the first `pieces` pieces, and waits until all of it has arrived. */
  async function converse(
    guests: readonly [ThreadGuest, ThreadGuest],
    pieces: number,
    signal: AbortSignal,
  ): Promise<void> {
    const said: [number, number] = [0, 0];
    for (const frame of FRAMES.slice(0, pieces * PIECE)) said[speaker(frame)] += 1;
    while (!signal.aborted) {
      const [first, second] = [await guests[0].ask(said[0]), await guests[1].ask(said[1])];
      if (first.received >= said[1] && second.received >= said[0]) return;
      await pause();
    }
  }

  it.for([
    ['through dom0', false],
    ['with a bypass amid it', true],
  ] as const)(
    'a recorded conversation arrives whole, once and in order, %s',
    { timeout: 60_000 },
    async ([, withBypass], { signal }) => {
      const bypasses = new BypassProposer({ policy: { kind: 'manual' } });
      const site = new ThreadSite(bundle, { host, poolPages: 512, ...(withBypass && { bypasses }) });
      const guests = [
        await site.guest(one, { own: 1, other: 2, frames: SAID[0], mac: macText(MACS[0]) }),
        await site.guest(two, { own: 2, other: 1, frames: SAID[1], mac: macText(MACS[1]) }),
      ] as const;
      let withdrawn: Promise<void> | undefined;
      for (let piece = 1; piece <= PIECES; piece += 1) {
        if (withBypass && piece === PIECES >> 2) {
          const [first, second] = site.backends.devices;
          if (first === undefined || second === undefined) throw new Error('not both backends are there');
          expect(bypasses.propose(first, second)).toBeUndefined();
        }
        if (withBypass && piece === PIECES >> 1)
          while (bypasses.bypasses[0]?.state !== 'live' && !signal.aborted) await pause();
        if (withBypass && piece === (3 * PIECES) >> 2) withdrawn = bypasses.withdraw();
        await converse(guests, piece, signal);
      }
      await withdrawn;
      const reports = await site.quiet(guests);
      for (const [index, report] of reports.entries()) {
        const frames = SAID[1 - index] ?? [];
        expect([report.received, report.digest]).toEqual(digestOf(frames));
        expect(report.bypassed > 0).toBe(withBypass);
      }
      expect(site.failures).toEqual([]);
      await site.end();
      expect(site.machine.leaks()).toEqual([]);
    },
  );
});
