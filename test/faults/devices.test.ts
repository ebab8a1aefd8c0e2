/**
 * What a guest can do wrong with its device, in both classes: each ends in a refused packet or a closed device with its
 * reason in xenstore, while two other guests on the same bridge keep talking.
 */
import type { LabGuest } from '@netchannel2/testing';
import { type Domain, type GrantRef, grantRef, NO_GRANT_REF } from '@netchannel2/xen';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type RawPeer, rawPeer } from './raw-peers';
import { FaultSite, frameTo, headerTo } from './site';

const INTRUDER = '02:00:00:00:00:66';
const LENGTH = 600;

/** A page of the guest's own that holds a whole frame to `target`. */
function framePage(domain: Domain, target: string) {
  const area = domain.memory.allocate(1);
  const [page] = area?.pages ?? [];
  const { entries } = domain.grants;
  if (area === undefined || page === undefined || entries === undefined) throw new Error('no page');
  domain.memory.copyIn(area, 0, frameTo(target, INTRUDER, LENGTH));
  const ref = entries.allocate();
  if (ref === NO_GRANT_REF) throw new Error('no reference');
  return { area, page, entries, ref };
}

describe.each(['vif', 'vif2'] as const)('%s', (deviceClass) => {
  let site: FaultSite;
  let peer: RawPeer;
  let guest: LabGuest;

  const enter = async (grantTableVersion: 1 | 2 = 2) => {
    peer = rawPeer(deviceClass);
    guest = await site.intruder({ ...peer.guestOptions, grantTableVersion });
  };
  beforeEach(async () => {
    site = await FaultSite.build(deviceClass);
  });
  afterEach(() => site.end());

  describe.each([1, 2] as const)('a guest with table version %i', (version) => {
    beforeEach(() => enter(version));

    /** Sends from a reference that does not work, then a good packet; the first is refused, the device lives. */
    const expectRefused = async (
      prepare: (page: ReturnType<typeof framePage>) => GrantRef,
    ): Promise<void> => {
      // To one guest, to nobody known, to everybody: forwarded, copied, flooded.
      for (const target of [site.macOf(0), '02:00:00:00:00:77', 'ff:ff:ff:ff:ff:ff']) {
        const answered = peer.outcomes().length;
        const bad = framePage(guest.domain, target);
        const good = framePage(guest.domain, target);
        good.entries.publishFullPage(good.ref, site.lab.dom0.id, good.page.frame, true);
        peer.send(prepare(bad), LENGTH, headerTo(target, INTRUDER));
        peer.send(good.ref, LENGTH, headerTo(target, INTRUDER));
        await site.clock.advance(50);
        expect(peer.outcomes().slice(answered).sort()).toEqual(['refused', 'taken']);
        expect(good.entries.revoke(good.ref)).toBe(true);
      }
      await site.expectConnected(guest);
    };

    it('unknown gref', () => expectRefused(({ ref }) => ref));

    it('a gref beyond any table', () => expectRefused(() => grantRef(0x00ff_fff0)));

    it('a grant for another domain', () =>
      expectRefused(({ entries, ref, page }) => {
        entries.publishFullPage(ref, site.guests[0].domain.id, page.frame, true);
        return ref;
      }));

    it('a revoked grant', () =>
      expectRefused(({ entries, ref, page }) => {
        entries.publishFullPage(ref, site.lab.dom0.id, page.frame, true);
        expect(entries.revoke(ref)).toBe(true);
        return ref;
      }));

    it('a page given back to Xen', () =>
      expectRefused(({ entries, ref, page }) => {
        entries.publishFullPage(ref, site.lab.dom0.id, page.frame, true);
        const { grantHost } = site.lab.machine.hypervisor;
        grantHost.freeStolenPage(grantHost.stealPage(guest.id, page.frame));
        return ref;
      }));
  });

  it('a grant of a part of a page, with a packet beyond it', async () => {
    await enter(2);
    const { entries, ref, page } = framePage(guest.domain, site.macOf(1));
    entries.publishSubPage(ref, site.lab.dom0.id, page.frame, 0, 200, true);
    peer.send(ref, LENGTH, headerTo(site.macOf(1), INTRUDER));
    await site.clock.advance(50);
    expect(peer.outcomes()).toEqual(['refused']);
    expect(entries.revoke(ref)).toBe(true);
    await site.expectConnected(guest);
  });

  it('a producer index far ahead closes the device', async () => {
    await enter();
    peer.runAhead();
    await site.expectClosed(guest, /index/);
  });

  it('a consumer index far ahead closes the device, at the latest when it is sent to', async () => {
    await enter();
    peer.consumeAhead();
    for (let count = 0; count < 64; count += 1) {
      site.ports[0].send(frameTo('ff:ff:ff:ff:ff:ff', site.macOf(0), 1514));
      await site.clock.advance(1);
    }
    await site.expectClosed(guest, /index/);
  });

  it('a packet of more pieces than there can be closes the device', async () => {
    await enter();
    const { entries, ref, page } = framePage(guest.domain, site.macOf(0));
    entries.publishFullPage(ref, site.lab.dom0.id, page.frame, true);
    peer.sendOversize(ref);
    await site.expectClosed(guest, /fragments/);
  });

  it('a frame longer than the class carries is given up where it is sent, and counted', async () => {
    await enter();
    const [port] = site.ports;
    expect(port.send(new Uint8Array(65537))).toBe(true);
    expect(Object.values(port.counters.dropped).reduce((sum, count) => sum + count, 0)).toBe(1);
  });

  it('a ring page that is not granted: the handshake fails with its reason', async () => {
    const change = (nodes: Record<string, string>) => ({
      ...nodes,
      ...(deviceClass === 'vif' ? { 'tx-ring-ref': '4000' } : { 'control-ring-ref': '4000' }),
    });
    peer = rawPeer(deviceClass, change);
    await expect(site.intruder(peer.guestOptions)).rejects.toThrow(/GNTST_\w+/);
  });

  it('the same page mapped as two rings: the handshake fails with its reason', async () => {
    const change = (nodes: Record<string, string>) => ({
      ...nodes,
      ...(deviceClass === 'vif'
        ? { 'rx-ring-ref': nodes['tx-ring-ref'] ?? '' }
        : { 'cons-ring-ref-0': nodes['control-ring-ref'] ?? '' }),
    });
    peer = rawPeer(deviceClass, change);
    await expect(site.intruder(peer.guestOptions)).rejects.toThrow(/was given up .*ring/);
  });

  it('a guest that takes nothing: the ring fills, frames for it are counted, the others’ flow', async () => {
    const slow = await site.lab.addGuest({ name: 'slow' });
    const port = await slow.attach(deviceClass, { mac: INTRUDER });
    port.send(frameTo(site.macOf(0), INTRUDER, 60));
    await site.settle();
    let received = 0;
    port.frames$.subscribe(() => {
      received += 1;
    });
    // Its virtual CPU stands still.
    const turn = slow.domain.runTurn.bind(slow.domain);
    slow.domain.runTurn = () => false;
    for (let burst = 0; burst < 60; burst += 1) {
      for (let count = 0; count < 20; count += 1) site.ports[0].send(frameTo(INTRUDER, site.macOf(0), 1514));
      await site.clock.advance(1);
    }
    expect(received).toBe(0);
    await site.expectHonestTraffic();
    slow.domain.runTurn = turn;
    slow.domain.run(() => undefined);
    await site.settle();
    expect(received).toBeGreaterThan(10);
    expect(received).toBeLessThan(1200);
    // And it goes on as if nothing had been.
    site.ports[0].send(frameTo(INTRUDER, site.macOf(0), 1514));
    const before = received;
    await site.clock.advance(50);
    expect(received).toBe(before + 1);
  });

  it('a guest destroyed mid-flight, as sender and as receiver', async () => {
    const doomed = await site.lab.addGuest({ name: 'doomed' });
    const port = await doomed.attach(deviceClass, { mac: INTRUDER });
    port.send(frameTo(site.macOf(0), INTRUDER, 60));
    await site.settle();
    for (let count = 0; count < 30; count += 1) {
      port.send(frameTo(site.macOf(0), INTRUDER, 1514));
      port.send(frameTo(site.macOf(1), INTRUDER, 9000));
      site.ports[0].send(frameTo(INTRUDER, site.macOf(0), 1514));
      site.ports[1].send(frameTo(INTRUDER, site.macOf(1), 4000));
    }
    port.flush();
    for (const honest of site.ports) honest.flush();
    await doomed.destroy();
    await site.settle();
    expect(site.lab.guests).toHaveLength(2);
    expect(site.lab.machine.domain(doomed.id)).toBeUndefined();
  });
});
