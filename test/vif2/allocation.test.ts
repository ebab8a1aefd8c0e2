/**
 * A heap profile of traffic in the steady state: what the vif2 drivers and the packages below them allocate, counted with
 * all that the collector has swept up since. Nothing of it is per frame.
 */
import { Machine } from '@netchannel2/hypervisor';
import { netback2Driver } from '@netchannel2/netback2';
import { netfront2Driver } from '@netchannel2/netfront2';
import { WiredDevice } from '@netchannel2/testing';
import { describe, expect, it } from 'vitest';
import { NOTHING_PER_FRAME, steadyTraffic } from '../heap-profile';

const DRIVERS = /packages\/(netfront2|netback2|netchannel2|netchannel2-link|frames)\//;

describe.each([1, 2] as const)('tables of version %i', (grantTableVersion) => {
  it.each([
    ['guest to host', 64],
    ['guest to host', 1514],
    ['guest to host', 9000],
    ['host to guest', 64],
    ['host to guest', 1514],
    ['host to guest', 9000],
  ] as const)('%s, %i bytes: nothing is allocated per frame', async (direction, length) => {
    const machine = Machine.boot({ memoryBytes: 64 << 20 });
    const host = machine.createDomain({ memoryPages: 4096, grantTableVersion });
    const guest = machine.createDomain({ memoryPages: 4096, grantTableVersion });
    const device = new WiredDevice({
      guest,
      host,
      frontend: netfront2Driver(),
      backend: netback2Driver(),
    });
    await device.connect();
    await machine.idle();
    let arrived = 0;
    const note = () => {
      arrived += 1;
    };
    device.frontend.frames$.subscribe(note);
    device.backend.frames$.subscribe(note);
    const [domain, port] = direction === 'guest to host' ? [guest, device.frontend] : [host, device.backend];
    const traffic = await steadyTraffic(DRIVERS, machine, domain, port, length);
    expect(arrived).toBe(traffic.sent);
    expect(traffic.bytesPerFrame, traffic.sites).toBeLessThan(NOTHING_PER_FRAME);
    await device.remove();
    machine.shutdown();
  });
});
