/**
 * Grants that go at the very moment they are copied from: between the receiver's look at the packet and its hypercall, as a
 * scripted step of the receiver's. Every second packet of a pass is lost by that, the others are not.
 */
import type { SimulatedDomain } from '@netchannel2/hypervisor';
import type { GrantCopyBatch, GrantEntries, GrantPublications, GrantRef } from '@netchannel2/xen';
import { describe, expect, it } from 'vitest';
import { BridgedGuests } from './bridged-guests';
import { BypassSite } from './bypass-site';
import { numberedFrame, vif2Pair } from './vif2-pair';

/** Runs `step` before every copy hypercall of the links of `domain`. Set before they connect. */
function beforeCopies(domain: SimulatedDomain, step: () => void): void {
  const { foreign } = domain;
  const create = foreign.createCopyBatch.bind(foreign);
  foreign.createCopyBatch = (capacity: number): GrantCopyBatch => {
    const batch = create(capacity);
    const submit = batch.submit.bind(batch);
    batch.submit = () => {
      step();
      submit();
    };
    return batch;
  };
}

/** Every second grant a domain publishes for packets in one piece while it is active. Set before its links connect. */
class EverySecond {
  active = false;
  revoked = 0;
  private published = 0;
  private refs: GrantRef[] = [];
  private readonly entries: GrantEntries;

  constructor(domain: SimulatedDomain) {
    const { entries } = domain.grants;
    if (entries === undefined) throw new Error('a simulated domain has its table in its hands');
    this.entries = entries;
    const create = entries.createPublications.bind(entries);
    entries.createPublications = (capacity) => {
      const run = create(capacity);
      if (run === undefined) return undefined;
      const subPage = run.addSubPage.bind(run);
      run.addSubPage = (ref, ...rest) => {
        subPage(ref, ...rest);
        this.note(ref);
      };
      const transitive = run.addTransitive.bind(run);
      run.addTransitive = (ref, ...rest) => {
        transitive(ref, ...rest);
        this.note(ref);
      };
      this.noteWritten(run);
      return run;
    };
  }

  /** Those that a kernel writes into `run` are known by the models it writes them from. */
  private noteWritten(run: GrantPublications): void {
    const { list } = run;
    const model = run.modelSubPage?.bind(run);
    const append = run.append?.bind(run);
    if (list === undefined || model === undefined || append === undefined) return;
    const refs = new Map<number, GrantRef>();
    run.modelSubPage = (ref, peer, readonly, words, at) => {
      model(ref, peer, readonly, words, at);
      refs.set(words[at] ?? 0, ref);
    };
    run.append = (count) => {
      const first = run.length;
      append(count);
      for (let index = first; index < run.length; index += 1) {
        const ref = refs.get(list.words[(list.base >> 2) + 4 * index] ?? 0);
        if (ref !== undefined) this.note(ref);
      }
    };
  }

  readonly revoke = (): void => {
    for (const ref of this.refs) {
      // Copies pin an entry only while the hypercall runs: revoking works at once.
      expect(this.entries.revoke(ref)).toBe(true);
      this.revoked += 1;
    }
    this.refs = [];
  };

  private note(ref: GrantRef): void {
    if (!this.active) return;
    this.published += 1;
    if (this.published % 2 === 0) this.refs.push(ref);
  }
}

const NUMBERS = Array.from({ length: 16 }, (_, index) => index + 1);
const ODD = NUMBERS.filter((number) => number % 2 === 1);

describe('grants revoked as they are copied from', () => {
  it.each([
    ['front', 'back'],
    ['back', 'front'],
  ] as const)('receiver_copy, %s to %s', async (from, to) => {
    const pair = vif2Pair({ guest: 2, host: 2 });
    const [sender, receiver] = from === 'front' ? [pair.guest, pair.host] : [pair.host, pair.guest];
    const grants = new EverySecond(sender);
    beforeCopies(receiver, grants.revoke);
    await pair.device.connect();
    await pair.settle();
    const received: Uint8Array[] = [];
    pair[to].frames$.subscribe((frame) => received.push(frame.toBytes()));
    grants.active = true;
    for (const number of NUMBERS) expect(pair[from].send(numberedFrame(1514, number))).toBe(true);
    await pair.settle();
    grants.active = false;
    expect(grants.revoked).toBe(NUMBERS.length / 2);
    expect(received).toEqual(ODD.map((number) => numberedFrame(1514, number)));
    expect(pair[to].counters.dropped.notObtained).toBe(NUMBERS.length / 2);
    expect([pair.front.linkState, pair[from].unfinished]).toEqual(['up', 0]);
    expect(pair[from].send(numberedFrame(1514, 99))).toBe(true);
    await pair.settle();
    expect(received.at(-1)).toEqual(numberedFrame(1514, 99));
    await pair.device.remove();
    expect(pair.machine.leaks()).toEqual([]);
    expect(pair.clock.timers).toBe(0);
    pair.machine.shutdown();
  });

  it.each(['the sender', 'dom0'] as const)('forwarded in transitive grants: %s revokes', async (who) => {
    const site = new BridgedGuests();
    const grants = new EverySecond(who === 'dom0' ? site.host : site.guest(0).domain);
    beforeCopies(site.guest(1).domain, grants.revoke);
    await site.start();
    // Both are known to the bridge.
    await site.send(1, 0, [60]);
    await site.send(0, 1, [60]);
    const before = site.guest(1).received.length;
    const forwarded = site.forwarded(0);
    grants.active = true;
    const sent = await site.send(
      0,
      1,
      NUMBERS.map(() => 1514),
    );
    grants.active = false;
    expect(site.forwarded(0) - forwarded).toBe(NUMBERS.length);
    expect(grants.revoked).toBe(NUMBERS.length / 2);
    expect(site.guest(1).received.slice(before)).toEqual(sent.filter((_, index) => index % 2 === 0));
    const { counters, unfinished } = site.guest(0).front;
    expect([unfinished, site.guest(1).back.unfinished, counters.dropped.notObtained]).toEqual([0, 0, 0]);
    expect(site.guest(1).front.counters.dropped.notObtained).toBe(NUMBERS.length / 2);
    const again = await site.send(0, 1, [1514]);
    expect(site.guest(1).received.at(-1)).toEqual(again[0]);
    await site.stop();
    expect(site.machine.leaks()).toEqual([]);
    site.machine.shutdown();
  });

  it('on a bypass', async () => {
    const site = new BypassSite({ guests: [2, 2] });
    const [first, second] = [site.guest(0), site.guest(1)];
    const grants = new EverySecond(first.domain);
    beforeCopies(second.domain, grants.revoke);
    await site.start();
    await site.open();
    grants.active = true;
    for (const number of NUMBERS) expect(site.send(0, 1, number, 1514)).toBe(true);
    await site.clock.settle();
    grants.active = false;
    expect(grants.revoked).toBe(NUMBERS.length / 2);
    expect(second.received).toEqual(ODD);
    expect(second.front.counters.dropped.notObtained).toBe(NUMBERS.length / 2);
    expect([first.front.unfinished, site.states()]).toEqual([0, ['live']]);
    expect(site.send(0, 1, 99, 1514)).toBe(true);
    await site.clock.settle();
    expect(second.received.at(-1)).toBe(99);
    expect(await site.finish()).toEqual([]);
  });
});
