import { bindBackends, bindFrontends, Toolstack, XenbusState } from '@netchannel2/device-registry';
import { Machine, type SimulatedDomain } from '@netchannel2/hypervisor';
import { type Netback2, type Netback2Options, netback2Driver } from '@netchannel2/netback2';
import { type Netfront2, netfront2Driver } from '@netchannel2/netfront2';
import { VirtualClock } from '@netchannel2/testing';
import { eventChannelPort, grantRef } from '@netchannel2/xen';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { numberedFrame } from './vif2-pair';

/** Longer than any one time-out of the handshake. */
const LONG = 15_000;

class Site {
  readonly clock = new VirtualClock();
  readonly machine = Machine.boot({
    memoryBytes: 64 << 20,
    scheduler: this.clock,
    now: () => this.clock.now(),
  });
  readonly host = this.machine.createDomain({ name: 'dom0', memoryPages: 4096 });
  readonly toolstack = new Toolstack(this.host.store, { scheduler: this.clock });
  readonly backends;

  constructor(options: Netback2Options = {}) {
    this.backends = bindBackends(this.host, netback2Driver({ poolPages: 64, ...options }));
  }

  guest(version: 1 | 2 = 2) {
    const domain = this.machine.createDomain({ grantTableVersion: version, memoryPages: 1024 });
    return { domain, frontends: bindFrontends(domain, netfront2Driver({ poolPages: 64 })) };
  }

  /** Starts something that takes time and lets the time pass. */
  async during<Result>(work: Promise<Result>, milliseconds = LONG): Promise<Result> {
    const settled = work.then(
      (value) => () => value,
      (error: unknown) => () => {
        throw error;
      },
    );
    let done = false;
    void settled.finally(() => {
      done = true;
    });
    await this.clock.settle();
    for (let passed = 0; !done && passed < milliseconds; passed += 100) await this.clock.advance(100);
    return (await settled)();
  }

  async attach(domain: SimulatedDomain) {
    // A domain's home is being built while it boots; its own requests wait for that, the toolstack's do not.
    await domain.store.read('name');
    return this.during(this.toolstack.attach(domain.id, { type: 'vif2', guestTrusted: true }));
  }
}

const ends = (site: Site, frontends: { readonly devices: readonly Netfront2[] }): [Netfront2, Netback2] => {
  const front = frontends.devices[0];
  const back = site.backends.devices.at(-1);
  if (front === undefined || back === undefined) throw new Error('not both ends are there');
  return [front, back];
};

describe('a vif2 through xenstore and the device registry', () => {
  let site: Site;
  beforeEach(() => {
    site = new Site();
  });
  afterEach(() => site.machine.shutdown());

  it.each([1, 2] as const)('attach, traffic, detach with a guest of table version %i', async (version) => {
    const { domain, frontends } = site.guest(version);
    const before = [site.host.memory.freePages, domain.memory.freePages, domain.grants.freeRefs];
    const entry = await site.attach(domain);
    expect([entry.frontendState, entry.backendState]).toEqual([XenbusState.Connected, XenbusState.Connected]);
    const [front, back] = ends(site, frontends);
    expect([front.mac, back.mac, back.remoteMac]).toEqual([entry.mac, 'fe:ff:ff:ff:ff:ff', entry.mac]);
    const toHost: number[] = [];
    const toGuest: number[] = [];
    back.frames$.subscribe((frame) => toHost.push(frame.byteLength));
    front.frames$.subscribe((frame) => toGuest.push(frame.byteLength));
    for (const length of [60, 1514, 9000]) {
      expect(front.send(numberedFrame(length, 1))).toBe(true);
      expect(back.send(numberedFrame(length, 2))).toBe(true);
    }
    await site.clock.settle();
    expect([toHost, toGuest]).toEqual([
      [60, 1514, 9000],
      [60, 1514, 9000],
    ]);
    await site.during(site.toolstack.detach(domain.id, 'vif2', 0));
    await site.clock.advance(LONG);
    expect(frontends.devices).toEqual([]);
    expect(site.machine.leaks()).toEqual([]);
    // The host keeps one page of copy elements for all its devices; so does the guest.
    const after = [site.host.memory.freePages, domain.memory.freePages, domain.grants.freeRefs];
    expect(after.map((count, index) => (before[index] ?? 0) - count)).toEqual([1, 1, 0]);
  });

  it('a frontend that breaks the protocol loses its device; its neighbour does not notice', async () => {
    const good = site.guest();
    const bad = site.guest();
    await site.attach(good.domain);
    const [goodFront, goodBack] = ends(site, good.frontends);
    await site.attach(bad.domain);
    const received: number[] = [];
    goodBack.frames$.subscribe((frame) => received.push(frame.byteLength));
    const path = `/local/domain/${bad.domain.id}/device/vif2/0`;
    const badBack = site.backends.devices.find((device) => device !== goodBack);
    if (badBack === undefined) throw new Error('not both ends are there');
    // What a broken frontend would do: claim to have written more than its ring holds. The driver beside it would write
    // the index anew, so the event is sent without it.
    const control = Number(await bad.domain.store.read(`${path}/control-ring-ref`));
    const port = Number(await bad.domain.store.read(`${path}/event-channel`));
    const rings = site.host.foreign.map(bad.domain.id, [grantRef(control)], 'readwrite');
    if (typeof rings === 'number') throw new Error('cannot look at the control page');
    Atomics.store(rings.area.words, rings.area.base >> 2, 1 << 20);
    rings.unmap();
    bad.domain.events.notify(eventChannelPort(port));
    await site.clock.advance(LONG);
    expect(badBack.linkState).toBe('down');
    const [, entry] = await site.toolstack.list();
    expect(entry?.errors.join()).toMatch(/producer index/);
    expect(goodFront.send(numberedFrame(1514, 2))).toBe(true);
    await site.clock.settle();
    expect(received).toEqual([1514]);
  });

  it('a guest destroyed with frames under way takes only its own device along', async () => {
    const doomed = site.guest();
    const other = site.guest();
    await site.attach(doomed.domain);
    const [doomedFront, doomedBack] = ends(site, doomed.frontends);
    await site.attach(other.domain);
    const [otherFront] = ends(site, other.frontends);
    const otherBack = site.backends.devices.find((device) => device !== doomedBack);
    let received = 0;
    otherBack?.frames$.subscribe(() => {
      received += 1;
    });
    for (let index = 0; index < 10; index += 1) {
      doomedFront.send(numberedFrame(1514, index));
      doomedBack.send(numberedFrame(1514, index));
    }
    doomedFront.flush();
    doomedBack.flush();
    site.machine.destroyDomain(doomed.domain.id);
    expect(otherFront.send(numberedFrame(1514, 1))).toBe(true);
    await site.clock.advance(LONG);
    await site
      .during(site.toolstack.detach(doomed.domain.id, 'vif2', 0, { force: true }))
      .catch(() => undefined);
    await site.clock.advance(LONG);
    expect(received).toBe(1);
    expect(doomedBack.linkState).toBe('down');
    expect(otherFront.linkState).toBe('up');
    await site.during(site.toolstack.detach(other.domain.id, 'vif2', 0));
    await site.clock.advance(LONG);
    expect(site.machine.leaks()).toEqual([]);
  });

  it('a guest closes its frontend and opens it again', async () => {
    const { domain, frontends } = site.guest();
    await site.attach(domain);
    await site.during(frontends.close());
    const again = bindFrontends(domain, netfront2Driver({ poolPages: 64 }));
    await site.clock.advance(LONG);
    const [front, back] = ends(site, again);
    expect([front.linkState, back.linkState]).toEqual(['up', 'up']);
    let received = 0;
    back.frames$.subscribe(() => {
      received += 1;
    });
    front.send(numberedFrame(1514, 1));
    await site.clock.settle();
    expect(received).toBe(1);
  });

  it('a guest that finishes nothing for ten seconds loses its carrier until it does', async () => {
    const { domain } = site.guest();
    await site.attach(domain);
    const back = site.backends.devices[0];
    if (back === undefined) throw new Error('no backend');
    const carrier = () => site.host.store.read(`/local/domain/0/backend/vif2/${domain.id}/0/carrier`);
    expect(await carrier()).toBe('1');
    // A guest whose virtual CPU stands still.
    const turn = domain.runTurn.bind(domain);
    domain.runTurn = () => false;
    while (back.send(numberedFrame(1514, 1)));
    await site.clock.advance(LONG);
    expect([back.linkState, await carrier()]).toEqual(['stalled', '0']);
    domain.runTurn = turn;
    domain.run(() => undefined);
    await site.clock.advance(100);
    expect([back.linkState, await carrier()]).toEqual(['up', '1']);
  });
});
