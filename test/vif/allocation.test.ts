/**
 * A heap profile of traffic in the steady state: what the vif drivers and the packages below them allocate, counted with
 * all that the collector has swept up since. Nothing of it is per frame.
 */
import { Machine } from '@netchannel2/hypervisor';
import { expect, it } from 'vitest';
import { NOTHING_PER_FRAME, steadyTraffic } from '../heap-profile';
import { vifPair } from './vif-pair';

const DRIVERS = /packages\/(netfront|netback|netif|frames)\//;

it.each([
  ['guest to host', 64],
  ['guest to host', 1514],
  ['host to guest', 64],
  ['host to guest', 1514],
] as const)('%s, %i bytes: nothing is allocated per frame', async (direction, length) => {
  const machine = Machine.boot({ memoryBytes: 64 << 20 });
  const host = machine.createDomain({ memoryPages: 4096 });
  const guest = machine.createDomain({ memoryPages: 4096 });
  const pair = vifPair(guest, host);
  await pair.connect();
  let arrived = 0;
  const note = () => {
    arrived += 1;
  };
  pair.front.frames$.subscribe(note);
  pair.back.frames$.subscribe(note);
  const [domain, port] = direction === 'guest to host' ? [guest, pair.front] : [host, pair.back];
  const traffic = await steadyTraffic(DRIVERS, machine, domain, port, length);
  expect(arrived).toBe(traffic.sent);
  expect(traffic.bytesPerFrame, traffic.sites).toBeLessThan(NOTHING_PER_FRAME);
  await pair.disconnect();
  machine.shutdown();
});
