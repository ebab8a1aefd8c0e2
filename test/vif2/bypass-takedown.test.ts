import { CONS, MessageType, PROD, RING_A, ringStructWord, writeBypassHandle } from '@netchannel2/netchannel2';
import { firstValueFrom } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { type BypassGuest, BypassSite } from './bypass-site';

const numbers = (count: number, first = 1) => Array.from({ length: count }, (_, index) => index + first);
const LENGTHS = numbers(60).map((number) => [60, 1514, 200, 4000][number % 4] ?? 60);
/** Passes of dom0 after the proposal: the first falls before any answer, the last long after both ends switched. */
const MOMENTS = [0, 1, 2, 4, 6, 9, 30];
/** Longer than any time a pair is left alone. */
const FORGIVEN = 61_000;

interface Blow {
  readonly name: string;
  /** Nothing may be lost: both ends are well and were asked to drain. */
  readonly orderly?: boolean;
  /** The end it befell may write over it before the other one looks: then nothing has happened. */
  readonly heals?: boolean;
  /** Guests that have no device any more. */
  readonly without?: readonly number[];
  /** Guests that are dead. */
  readonly dead?: readonly number[];
  strike(site: BypassSite): unknown;
}

const breakRing = (site: BypassSite, index: number, value: number) => {
  const control = site.controlPage;
  Atomics.store(control.words, ringStructWord(control, RING_A) + index, value);
};
const die = (site: BypassSite, { domain, back }: BypassGuest) => {
  site.machine.destroyDomain(domain.id);
  // What the registry does once the guest's directory has gone.
  return back.disconnect();
};

const BLOWS: readonly Blow[] = [
  { name: 'the user withdraws it', orderly: true, strike: (site) => site.proposer.withdraw() },
  {
    name: 'the policy becomes never',
    orderly: true,
    strike: (site) => {
      site.proposer.policy = { kind: 'never' };
      site.proposer.policy = { kind: 'manual' };
    },
  },
  {
    name: 'the frontend-like guest is suspended, in order',
    orderly: true,
    without: [0],
    strike: async (site) => {
      await site.proposer.withdraw(site.guest(0).back);
      await site.guest(0).device.disconnect();
    },
  },
  {
    name: 'the frontend-like device goes',
    without: [0],
    strike: (site) => site.guest(0).device.disconnect(),
  },
  { name: 'the backend-like device goes', without: [1], strike: (site) => site.guest(1).device.disconnect() },
  { name: 'the frontend-like guest dies', dead: [0], strike: (site) => die(site, site.guest(0)) },
  { name: 'the backend-like guest dies', dead: [1], strike: (site) => die(site, site.guest(1)) },
  {
    name: 'both guests die',
    dead: [0, 1],
    strike: (site) => Promise.all(site.guests.map((one) => die(site, one))),
  },
  { name: 'a producer index jumps', heals: true, strike: (site) => breakRing(site, PROD, 0x7fff0000) },
  { name: 'a consumer index jumps', heals: true, strike: (site) => breakRing(site, CONS, 0x7fff0000) },
];

describe.each(BLOWS)('$name', ({ orderly = false, heals = false, without = [], dead = [], strike }) => {
  it.each(MOMENTS)('%i passes after the proposal: nothing leaks, repeats or overtakes', async (passes) => {
    const site = new BypassSite();
    await site.start();
    const pumps = [site.pump(0, 1, LENGTHS), site.pump(1, 0, LENGTHS)];
    site.mustPropose();
    let done: unknown;
    site.amid(passes, () => {
      done = strike(site);
    });
    await site.clock.settle();
    await site.clock.advance(12_000);
    await done;
    const healed = heals && site.states().length > 0;
    if (healed) {
      const withdrawn = site.proposer.withdraw();
      await site.clock.advance(12_000);
      await withdrawn;
    }
    expect(site.states()).toEqual([]);
    for (const pump of pumps) pump.stop();
    for (const { received } of site.guests) {
      expect(received).toEqual([...new Set(received)].sort((a, b) => a - b));
      if (healed || (orderly && without.length === 0)) expect(received).toEqual(numbers(LENGTHS.length));
    }

    // Whoever is left goes on, and can have a bypass again.
    await site.clock.advance(FORGIVEN);
    for (const index of without) await site.guest(index).device.connect();
    await site.clock.settle();
    if (dead.length === 0) {
      site.introduce();
      await site.clock.settle();
      for (const { received } of site.guests) received.length = 0;
      site.send(0, 1, 1, 60);
      await site.clock.settle();
      expect(site.guest(1).received).toEqual([1]);
      await site.open();
      site.send(0, 1, 2, 1514);
      site.send(1, 0, 2, 60);
      await site.clock.settle();
      expect(site.guests.map(({ received }) => received)).toEqual([[2], [2]]);
      expect(site.states()).toEqual(['live']);
    }
    for (const [index, { device }] of site.guests.entries())
      if (!dead.includes(index)) await device.disconnect();
    await site.clock.advance(20_000);
    expect(site.leaks(dead)).toEqual([]);
    expect(site.clock.timers).toBe(0);
    site.machine.shutdown();
  });
});

/** Has a guest tell dom0 that it uses its bypass no longer. */
async function sayDisabled(site: BypassSite, index: number): Promise<void> {
  const { front } = site.guest(index);
  const [bypass] = await firstValueFrom(front.bypasses$);
  if (bypass === undefined) throw new Error('there is no bypass');
  const message = new Int32Array(2);
  writeBypassHandle(message, 0, MessageType.bypassDisabled, bypass.handle);
  Reflect.apply(Reflect.get(front, 'sendControl'), front, [message]);
  await site.clock.settle();
}

describe('short frames, which nobody finishes', () => {
  it.each([
    ['one device goes', (site: BypassSite) => site.clock.during(site.guest(0).back.disconnect())],
    // The pair is blamed and detached without a word to drain: DISABLED was not asked for.
    ['an end says DISABLED unasked', (site: BypassSite) => sayDisabled(site, 0)],
  ])('that lie in the ring when %s arrive, each once and in order', async (_, strike) => {
    const site = new BypassSite();
    await site.start();
    await site.open();
    site.deafen(1, 'bypasses');
    for (let number = 1; number <= 20; number += 1) expect(site.send(0, 1, number, 60)).toBe(true);
    await site.clock.settle();
    expect(site.guest(1).received).toEqual([]);
    await strike(site);
    await site.clock.settle();
    expect(site.guest(1).received).toEqual(numbers(20));
    expect(site.states()).toEqual([]);
    expect(await site.finish()).toEqual([]);
  });
});
