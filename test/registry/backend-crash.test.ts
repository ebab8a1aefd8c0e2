/**
 * A backend process that is killed and started anew, with the real drivers. The new one finds its device connected and
 * resets it: the backend walks Connected, Closing, Closed, InitWait, the frontend follows and builds its rings anew
 * (spec xenbus.md §3 "6 | BE 2 again", §10 "Restart", way "clean"). That is the one way offered: the other, taking the old
 * rings over, may send frames twice, and here none ever is.
 */
import { DEVICE_CLASSES, XenbusState } from '@netchannel2/device-registry';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type DriverDomain, DriverDomainSite, type Station } from './driver-domain-site';

const { Connected, Closing, Closed, InitWait } = XenbusState;
const BURST = 40;

describe.each(DEVICE_CLASSES)('a %s backend', (deviceClass) => {
  let site: DriverDomainSite;
  let driver: DriverDomain;
  let one: Station;
  let other: Station;

  const backendState = ({ guest }: Station) =>
    `/local/domain/${driver.domain.id}/backend/${deviceClass}/${guest.id}/0/state`;

  /** The states somebody sees who reads them at each change. */
  const followState = (station: Station) => {
    const { store } = site.lab.dom0;
    const path = backendState(station);
    const states: number[] = [];
    const watch = store.watch(path).subscribe(() => {
      void store.tryRead(path).then((state) => {
        if (Number(state) !== states.at(-1)) states.push(Number(state));
      });
    });
    return { states, stop: () => watch.unsubscribe() };
  };

  /** Kills the process as soon as the first device's backend shows a state. */
  const killAt = async (wanted: XenbusState) => {
    const { store } = site.lab.dom0;
    const path = backendState(one);
    let killed: Promise<void> | undefined;
    const watch = store.watch(path).subscribe(() => {
      void store.tryRead(path).then((state) => {
        if (state === String(wanted)) killed ??= driver.kill();
      });
    });
    await driver.serve();
    await site.settle();
    watch.unsubscribe();
    expect(killed, `shows ${wanted} on its way`).toBeDefined();
    await killed;
  };

  const trafficBothWays = () => {
    site.send(one, other, BURST);
    site.send(other, one, BURST);
  };
  const expectConnected = async () => {
    for (const station of [one, other]) {
      const entry = await site.entryOf(station);
      expect([entry?.frontendState, entry?.backendState, entry?.errors]).toEqual([Connected, Connected, []]);
    }
  };

  beforeEach(async () => {
    site = await DriverDomainSite.build(deviceClass);
    driver = await site.driverDomain();
    one = await site.station(driver.domain);
    other = await site.station(driver.domain);
    expect(await site.exchange(one, other)).toEqual([20, 20]);
  });
  afterEach(async () => {
    for (const { arrived } of [one, other]) {
      const inOrder = arrived.every((number, index) => index === 0 || number > (arrived[index - 1] ?? -1));
      expect(inOrder, `each frame once and in order: ${arrived}`).toBe(true);
    }
    await site.lab.during(driver.close());
    await site.lab.stop();
  });

  it('that is killed leaves its states as they are and its guest waiting', async () => {
    await driver.kill();
    trafficBothWays();
    const heard = [one.arrived.length, other.arrived.length];
    await site.settle();
    await expectConnected();
    expect([one.arrived.length, other.arrived.length]).toEqual(heard);
  });

  it('that comes back walks 5, 6, 2, and the same ports go on', async () => {
    await driver.kill();
    const seen = followState(one);
    await driver.serve();
    await site.settle();
    seen.stop();
    expect(seen.states).toEqual([Connected, Closing, Closed, InitWait, Connected]);
    await expectConnected();
    expect(await site.exchange(one, other)).toEqual([20, 20]);
  });

  it.each([
    ['before any of a burst is served', 0],
    ['amid a burst', 1],
    ['after a burst, whose answers lie in the rings', 20],
  ])('killed %s', async (_, milliseconds) => {
    for (let round = 0; round < 2; round += 1) {
      trafficBothWays();
      if (milliseconds > 0) await site.clock.advance(milliseconds);
      await driver.kill();
      trafficBothWays();
      await driver.serve();
      await site.settle();
      await expectConnected();
      expect(await site.exchange(one, other)).toEqual([20, 20]);
    }
  });

  it.each([Closing, Closed, InitWait])('killed again on its way back, in state %i', async (state) => {
    await driver.kill();
    await killAt(state);
    trafficBothWays();
    await driver.serve();
    await site.settle();
    await expectConnected();
    expect(await site.exchange(one, other)).toEqual([20, 20]);
  });

  it('whose guest is destroyed while nobody serves finds nothing and holds nothing', async () => {
    await driver.kill();
    await one.guest.destroy();
    await driver.serve();
    await site.settle();
    expect([driver.backends.length, driver.bridge.ports.length]).toEqual([1, 1]);
    expect(await site.lab.dom0.store.tryRead(backendState(one))).toBeUndefined();
  });

  it('whose device is detached while nobody serves is removed by force', async () => {
    await driver.kill();
    await one.guest.detach(deviceClass);
    expect(await site.entryOf(one)).toBeUndefined();
    await driver.serve();
    one = await site.replug(one, driver.domain);
    await site.settle();
    expect(await site.exchange(one, other)).toEqual([20, 20]);
  });
});
