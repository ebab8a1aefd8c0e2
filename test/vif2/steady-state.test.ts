/** What a frame costs once both ends are warm: no set-up work at all, and events only for ends that sleep. */
import type { DomainAccounting, FramePort } from '@netchannel2/xen';
import { afterEach, describe, expect, it } from 'vitest';
import { numberedFrame, type Version, type Vif2Pair, vif2Pair } from './vif2-pair';

const FRAMES = 640;
const WARM_UP = 200;
const BURST = 32;
const STORE_CALLS = ['write', 'read', 'watch', 'remove', 'transaction'] as const;
const NUMBERS = [
  'grantsPublished',
  'grantsRevoked',
  'grantMaps',
  'grantUnmaps',
  'grantCopies',
  'notifications',
  'hypercalls',
  'activeGrants',
  'mappings',
  'ports',
] as const;

let pair: Vif2Pair;

afterEach(async () => {
  await pair.device.remove();
  expect(pair.machine.leaks()).toEqual([]);
  pair.machine.shutdown();
});

async function connected(guest: Version, host: Version): Promise<void> {
  pair = vif2Pair({ guest, host, front: { ringPageOrder: 4 } });
  await pair.device.connect();
  await pair.settle();
  for (const port of [pair.front, pair.back]) port.frames$.subscribe((frame) => frame.uint8(0));
}

function accounting(id: number): DomainAccounting {
  const counted = pair.machine.accounting(id);
  if (counted === undefined) throw new Error('the domain has gone');
  return counted;
}

/** Sends `count` frames in bursts that fit. */
async function traffic(port: FramePort, length: number, count: number): Promise<void> {
  const frame = numberedFrame(length, 1);
  for (let sent = 0; sent < count; sent += BURST) {
    for (let index = 0; index < BURST; index += 1) expect(port.send(frame)).toBe(true);
    await pair.settle();
  }
}

/** What a domain did from `before` on. */
function spent(id: number, before: DomainAccounting): Record<(typeof NUMBERS)[number], number> {
  const now = accounting(id);
  const entries = NUMBERS.map((name) => [name, now[name] - before[name]]);
  return Object.fromEntries(entries) as Record<(typeof NUMBERS)[number], number>;
}

/** Notes every xenstore call of either domain until the result is called, which gives them. */
function watchStores(): () => string[] {
  const stores = [pair.host.store, pair.guest.store];
  const calls: string[] = [];
  for (const store of stores) {
    for (const name of STORE_CALLS) {
      const original: unknown = Reflect.get(store, name);
      if (typeof original !== 'function') continue;
      Reflect.set(store, name, (...given: unknown[]) => {
        calls.push(name);
        return Reflect.apply(original, store, given);
      });
    }
  }
  return () => {
    for (const store of stores) for (const name of STORE_CALLS) Reflect.deleteProperty(store, name);
    return calls;
  };
}

const NOTHING_SET_UP = { grantMaps: 0, grantUnmaps: 0, activeGrants: 0, mappings: 0, ports: 0 };

describe.each([
  ['front', 1, 2],
  ['front', 2, 1],
  ['front', 2, 2],
  ['back', 2, 1],
  ['back', 1, 2],
  ['back', 2, 2],
] as const)('%s sends, guest v%i, host v%i', (from, guest, host) => {
  it.each([60, 1514, 9000])('frames of %i bytes', async (length) => {
    await connected(guest, host);
    const [sender, receiver] = from === 'front' ? [pair.guest, pair.host] : [pair.host, pair.guest];
    await traffic(pair[from], length, WARM_UP);
    const before = [accounting(sender.id), accounting(receiver.id)] as const;
    const resources = pair.resources();
    const storeCalls = watchStores();
    await traffic(pair[from], length, FRAMES);
    expect(storeCalls()).toEqual([]);
    expect(pair.resources()).toEqual(resources);
    const made = spent(sender.id, before[0]);
    const taken = spent(receiver.id, before[1]);
    const exact = sender.grants.entries?.version2 === true;
    // Heap bytes lie in pages of their own; a long frame has one fragment a page, its first bytes inline.
    const pieces = length <= 256 ? 0 : Math.ceil(length / 4096);
    // A sender that copies into shared pages fills them from their start, which crosses our borders by the inline bytes.
    const copies = exact ? pieces : Math.max(0, 2 * pieces - 1);
    const bursts = FRAMES / BURST;
    const grants = exact ? pieces * FRAMES : 0;
    expect(made).toMatchObject({
      ...NOTHING_SET_UP,
      grantsPublished: grants,
      grantsRevoked: grants,
      grantCopies: 0,
    });
    expect(taken).toMatchObject({
      ...NOTHING_SET_UP,
      grantsPublished: 0,
      grantsRevoked: 0,
      grantCopies: copies * FRAMES,
    });
    // A hypercall for every 66 copies at most, and for every event.
    const most = Math.ceil((copies * BURST) / 66);
    expect(taken.hypercalls - taken.notifications).toBeLessThanOrEqual(most * bursts);
    expect(made.hypercalls).toBe(made.notifications);
    // The receiver sleeps before each burst; it is woken once, and tells of its FINISHes once.
    expect(made.notifications).toBeLessThanOrEqual(bursts);
    expect(taken.notifications).toBeLessThanOrEqual(bursts);
  });
});

describe('events', () => {
  it('an idle link sends none, and has no timer', async () => {
    await connected(2, 2);
    await traffic(pair.front, 1514, BURST);
    await pair.clock.advance(1000);
    const before = [accounting(pair.guest.id), accounting(pair.host.id)] as const;
    await pair.clock.advance(60_000);
    expect(spent(pair.guest.id, before[0])).toMatchObject({ notifications: 0, hypercalls: 0 });
    expect(spent(pair.host.id, before[1])).toMatchObject({ notifications: 0, hypercalls: 0 });
    expect(pair.clock.timers).toBe(0);
  });

  it('one frame to a sleeping end is one event, and its FINISH one', async () => {
    await connected(2, 2);
    await traffic(pair.front, 1514, BURST);
    for (let turn = 0; turn < 5; turn += 1) {
      const before = [accounting(pair.guest.id), accounting(pair.host.id)] as const;
      pair.front.send(numberedFrame(1514, turn));
      await pair.settle();
      expect(spent(pair.guest.id, before[0]).notifications).toBe(1);
      expect(spent(pair.host.id, before[1]).notifications).toBe(1);
    }
  });

  it('while both ends are busy, frames sent from within a pass are found by polling', async () => {
    await connected(2, 2);
    let left = 0;
    // Each frame is answered by one, both ways.
    for (const port of [pair.back, pair.front]) {
      port.frames$.subscribe((frame) => {
        if (left > 0 && port.send(frame)) left -= 1;
      });
    }
    for (const count of [WARM_UP, 1000]) {
      left = count;
      const before = [accounting(pair.guest.id), accounting(pair.host.id)] as const;
      for (let index = 0; index < BURST; index += 1) pair.front.send(numberedFrame(200, index));
      await pair.settle();
      expect(left).toBe(0);
      const events =
        spent(pair.guest.id, before[0]).notifications + spent(pair.host.id, before[1]).notifications;
      // A burst goes to and fro; an event a burst would be one for 32 frames.
      expect(events).toBeLessThanOrEqual(Math.ceil((count + BURST) / BURST) + 4);
    }
  });
});
