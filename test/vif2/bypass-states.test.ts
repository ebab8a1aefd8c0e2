/** Every state of a bypass at the middle, crossed with whatever can happen to its ends, its rings and its messages. */
import { MessageType, messageHeader } from '@netchannel2/netchannel2';
import { describe, expect, it } from 'vitest';
import { BypassSite } from './bypass-site';

const STATES = ['front', 'back', 'live', 'disabling', 'detaching'] as const;
const FRAMES = 40;
/** Longer than all timeouts of a bypass one after the other. */
const ALL_TIMEOUTS = 15_000;

type Guest = 0 | 1;

interface Happening {
  readonly what: string;
  /** Its domain is gone. */
  readonly dead?: boolean;
  /** Its connection ends by that. */
  readonly offends?: boolean;
  readonly act: (site: BypassSite, guest: Guest) => unknown;
}

/** Has a guest's frontend write a message into its parent ring that no frontend would write there. */
function say(site: BypassSite, guest: Guest, ...words: readonly number[]): void {
  const { front } = site.guest(guest);
  Reflect.apply(Reflect.get(front, 'sendControl'), front, [Int32Array.from(words)]);
}

const message = (type: number, word: number): readonly number[] => [messageHeader(type, 0, 8), word];

const HAPPENINGS: readonly Happening[] = [
  { what: 'its device is closed', act: (site, guest) => site.guest(guest).device.disconnect() },
  {
    what: 'it is suspended in order',
    act: async (site, guest) => {
      await site.proposer.withdraw(site.guest(guest).back);
      await site.guest(guest).device.disconnect();
    },
  },
  { what: 'its backend lets go', act: (site, guest) => site.guest(guest).back.disconnect() },
  {
    what: 'it dies',
    dead: true,
    act: (site, guest) => {
      site.machine.destroyDomain(site.guest(guest).domain.id);
      site.guest(guest).device.forgetFrontend();
      return site.guest(guest).back.disconnect();
    },
  },
  { what: 'it hears nothing any more', act: (site, guest) => site.deafen(guest) },
  { what: 'its bypass is withdrawn', act: (site, guest) => site.proposer.withdraw(site.guest(guest).back) },
  {
    what: 'another is proposed',
    act: (site) => expect(site.proposer.propose(site.guest(0).back, site.guest(1).back)).not.toBeUndefined(),
  },
  {
    what: 'it says FRONTEND_READY out of turn',
    offends: true,
    act: (site, guest) => {
      // In `front` the first may pass for the answer that is due; the second cannot.
      say(site, guest, ...message(MessageType.bypassFrontendReady, 900));
      say(site, guest, ...message(MessageType.bypassFrontendReady, 900));
    },
  },
  ...[MessageType.bypassDisabled, MessageType.bypassDetached].flatMap((type) =>
    [true, false].map((known) => ({
      what: `it says ${type === MessageType.bypassDisabled ? 'DISABLED' : 'DETACHED'} of ${known ? 'this' : 'some other'} bypass`,
      act: (site: BypassSite, guest: Guest) =>
        say(site, guest, ...message(type, known ? handleOf(site) : 77)),
    })),
  ),
  {
    what: 'it says BYPASS_DISABLE, which is not for it to say',
    offends: true,
    act: (site, guest) => say(site, guest, ...message(MessageType.bypassDisable, handleOf(site))),
  },
];

const handleOf = (site: BypassSite): number => {
  let handle = 1;
  const look = site.proposer.bypasses$.subscribe(([bypass]) => {
    handle = bypass?.handle ?? handle;
  });
  look.unsubscribe();
  return handle;
};

describe.each(STATES)('in state %s', (state) => {
  describe.each([0, 1] as const)('to guest %i', (guest) => {
    it.each(HAPPENINGS.map((one) => [one.what, one] as const))(
      '%s',
      async (_, { dead = false, offends = false, act }) => {
        const site = new BypassSite();
        await site.start();
        const lengths = Array.from({ length: FRAMES }, (_, index) => (index % 2 === 0 ? 60 : 1514));
        const pumps = [site.pump(0, 1, lengths), site.pump(1, 0, lengths)];
        let done: unknown;
        let reached = false;
        const watch = site.proposer.bypasses$.subscribe(([bypass]) => {
          if (bypass?.state === state && !reached) {
            reached = true;
            site.amid(0, () => {
              done = act(site, guest);
            });
          } else if (bypass?.state === 'live' && (state === 'disabling' || state === 'detaching'))
            site.amid(0, () => void site.proposer.withdraw());
        });
        site.mustPropose();
        await site.clock.settle();
        await site.clock.advance(ALL_TIMEOUTS);
        await done;
        watch.unsubscribe();
        expect(reached).toBe(true);
        for (const pump of pumps) pump.stop();
        site.hear(guest);
        await site.clock.settle();
        for (const { received } of site.guests)
          expect(received).toEqual([...new Set(received)].sort((a, b) => a - b));
        // Whatever became of the bypass, the other guest's own device has not noticed.
        expect(site.guest(guest === 0 ? 1 : 0).device.failures).toEqual([]);
        expect(site.guest(guest).device.failures.length > 0).toBe(offends);
        for (const [index, { device }] of site.guests.entries())
          if (!dead || index !== guest) await device.disconnect();
        // No code of a dead guest runs any more; its timers are kept by this clock all the same.
        if (dead) site.guest(guest).front.removed();
        await site.clock.advance(ALL_TIMEOUTS + 5000);
        expect(site.leaks(dead ? [guest] : [])).toEqual([]);
        expect(site.clock.timers).toBe(0);
        site.machine.shutdown();
      },
    );
  });
});
