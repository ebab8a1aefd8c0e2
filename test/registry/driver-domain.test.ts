/**
 * Backends in a driver domain, with the real drivers: dom0 is the toolstack only, the driver domain has backends and a
 * bridge of its own. Beside it a guest pair on dom0's bridge, which nothing here may disturb.
 */
import { DEVICE_CLASSES, XenbusState } from '@netchannel2/device-registry';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type DriverDomain, DriverDomainSite, type Station } from './driver-domain-site';

const { Connected, Closed } = XenbusState;

describe.each(DEVICE_CLASSES)('%s', (deviceClass) => {
  let site: DriverDomainSite;
  let driver: DriverDomain;
  let one: Station;
  let other: Station;
  let neighbours: [Station, Station];

  const homeOf = (path: string) => site.lab.dom0.store.tryRead(path);
  const expectNeighboursTalk = async () => expect(await site.exchange(...neighbours)).toEqual([20, 20]);

  beforeEach(async () => {
    site = await DriverDomainSite.build(deviceClass);
    driver = await site.driverDomain();
    one = await site.station(driver.domain);
    other = await site.station(driver.domain);
    neighbours = [await site.station(site.lab.dom0), await site.station(site.lab.dom0)];
  });
  afterEach(async () => {
    await expectNeighboursTalk();
    await driver.close();
    await site.lab.stop();
  });

  it('frames cross the driver domain’s bridge both ways, and dom0 has no part in it', async () => {
    const entry = await site.entryOf(one);
    expect([entry?.backend, entry?.frontendState, entry?.backendState]).toEqual([
      driver.domain.id,
      Connected,
      Connected,
    ]);
    expect([driver.backends.length, site.lab.backendDevices.length]).toEqual([2, 2]);
    expect(await site.exchange(one, other)).toEqual([20, 20]);
    // The bridges are not connected: a frame for a guest of the other one is flooded and reaches nobody.
    const heard = neighbours.map(({ arrived }) => arrived.length);
    site.send(one, neighbours[0], 5);
    await site.settle();
    expect(neighbours.map(({ arrived }) => arrived.length)).toEqual(heard);
  });

  it.each([false, true])('detach (force: %s): the driver domain removes its own directory', async (force) => {
    const entry = await site.entryOf(one);
    const { toolstack } = site.lab;
    await site.exchange(one, other);
    await site.lab.during(toolstack.detach(one.guest.domain.id, deviceClass, 0, { force }));
    expect(await site.entryOf(one)).toBeUndefined();
    expect(await homeOf(entry?.backendPath ?? '')).toBeUndefined();
    expect([driver.backends.length, driver.bridge.ports.length]).toEqual([1, 1]);
    const again = await site.replug(one, driver.domain);
    expect(await site.exchange(again, other)).toEqual([20, 20]);
  });

  it('the driver domain is destroyed amid traffic: its guests’ frontends close and hold nothing', async () => {
    await site.exchange(one, other);
    site.send(one, other, 30);
    site.send(other, one, 30);
    driver.destroy();
    await site.settle();
    for (const station of [one, other]) {
      const state = await homeOf(`/local/domain/${station.guest.id}/device/${deviceClass}/0/state`);
      expect(state).toBe(String(Closed));
      expect(station.port.send(new Uint8Array(60))).toBe(false);
    }
    expect(await homeOf(`/local/domain/${driver.domain.id}`)).toBeUndefined();
    const guests = [one.guest.id, other.guest.id];
    expect(site.lab.machine.leaks().filter(({ domid }) => guests.includes(domid))).toEqual([]);
    await expectNeighboursTalk();
    await one.guest.detach(deviceClass);
    expect(await site.entryOf(one)).toBeUndefined();
  });

  it('one made anew in its place serves the same guests', async () => {
    await site.exchange(one, other);
    driver.destroy();
    driver = await site.driverDomain();
    for (const station of [one, other]) await station.guest.detach(deviceClass);
    const [first, second] = [await site.replug(one, driver.domain), await site.replug(other, driver.domain)];
    expect((await site.entryOf(first))?.backend).toBe(driver.domain.id);
    expect(await site.exchange(first, second)).toEqual([20, 20]);
  });
});
