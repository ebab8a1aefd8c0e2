/**
 * A heap profile of traffic in the steady state: what the vif2 drivers and the packages below them allocate, counted with
 * all that the collector has swept up since. Nothing of it is per frame.
 */
import { Machine } from '@netchannel2/hypervisor';
import { netback2Driver } from '@netchannel2/netback2';
import { netfront2Driver } from '@netchannel2/netfront2';
import { WiredDevice } from '@netchannel2/testing';
import { describe, expect, it } from 'vitest';
import { type AllocationWindow, flood, profiled } from '../heap-profile';

const WARM_UP = 120_000;
const FRAMES = 100_000;
/** A pass may allocate (a timer, code being compiled); one number a frame would be 12 bytes. */
const MOST_PER_FRAME = 4;
const MOST_WINDOWS = 8;
const DRIVERS = /packages\/(netfront2|netback2|netchannel2|netchannel2-link|frames)\//;

describe.each([1, 2] as const)('tables of version %i', (grantTableVersion) => {
  it.each([
    ['guest to host', 64],
    ['guest to host', 1514],
    ['host to guest', 64],
    ['host to guest', 1514],
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
    await flood(machine, domain, port, length, WARM_UP);
    // What is not compiled yet boxes its numbers, and when the compiler gets to it is its own affair: one window in which
    // nothing is allocated shows that nothing has to be.
    let window: AllocationWindow = { bytes: Number.POSITIVE_INFINITY, sites: '' };
    let windows = 0;
    while (window.bytes >= MOST_PER_FRAME * FRAMES && windows < MOST_WINDOWS) {
      window = await profiled(DRIVERS, () => flood(machine, domain, port, length, FRAMES));
      windows += 1;
    }
    expect(arrived).toBe(WARM_UP + windows * FRAMES);
    expect(window.bytes / FRAMES, window.sites).toBeLessThan(MOST_PER_FRAME);
    await device.remove();
    machine.shutdown();
  });
});
