/**
 * Both device classes over real grants and event channels: dom0's user space is frontend and backend at once. And what a
 * frontend without manners can do to the backends.
 */
import type { DeviceClass, FrontendDriver } from '@netchannel2/device-registry';
import { FramePool } from '@netchannel2/frames';
import { REQ_PROD } from '@netchannel2/netif';
import {
  type RawVif2Frontend,
  type RawVifFrontend,
  rawVif2FrontendDriver,
  rawVifFrontendDriver,
  WiredDevice,
} from '@netchannel2/testing';
import { describeFramePort, type FramePortPair } from '@netchannel2/testing/conformance';
import { describe, expect, it } from 'vitest';
import { LONGEST_FRAME, portBackend, portFrontend } from '../../conformance/wired-ports';
import { openProbedHost, type ProbedHost, settleHosts } from './dom0-host';

/** Both ends in processes' worth of handles of their own. */
async function openPair(): Promise<readonly [ProbedHost, ProbedHost]> {
  return [await openProbedHost(), await openProbedHost()];
}

function mappingsLeft(hosts: readonly ProbedHost[]): number {
  return hosts.reduce((sum, host) => sum + host.domain.foreign.mappings, 0);
}

function dom0Ports(deviceClass: DeviceClass) {
  return async (): Promise<FramePortPair> => {
    const hosts = await openPair();
    const [guest, host] = hosts;
    const pool = FramePool.create(guest.domain.memory, 64);
    const device = new WiredDevice({
      guest: guest.domain,
      host: host.domain,
      frontend: portFrontend(deviceClass),
      backend: portBackend(deviceClass),
    });
    const settle = () => settleHosts(hosts, 8);
    await device.connect();
    await settle();
    return {
      a: device.frontend,
      b: device.backend,
      longestFrame: LONGEST_FRAME[deviceClass],
      poolOfA: pool,
      settle,
      async remove() {
        await device.remove();
        await settle();
      },
      async close() {
        await device.remove();
        await settle();
        const mappings = mappingsLeft(hosts);
        const failures = device.failures.map((failure) => failure.message);
        for (const each of hosts) each.close();
        if (mappings > 0 || failures.length > 0)
          throw new Error(`left behind: ${mappings} mappings; failures: ${failures.join('; ')}`);
      },
    };
  };
}

for (const deviceClass of ['vif', 'vif2'] as const) {
  describeFramePort(`${deviceClass} on real Xen, dom0 to itself`, dom0Ports(deviceClass));
}

const NONSENSE = 0x7ff0_0000;

/** A backend with a raw frontend, and a well-behaved pair beside it that must not notice. */
async function besideAnHonestPair<Front extends RawVifFrontend | RawVif2Frontend>(
  driver: FrontendDriver<Front>,
  misbehave: (front: Front) => void,
): Promise<readonly string[]> {
  const hosts = await openPair();
  const [guest, host] = hosts;
  const { deviceClass } = driver;
  const honest = new WiredDevice({
    guest: guest.domain,
    host: host.domain,
    frontend: portFrontend(deviceClass),
    backend: portBackend(deviceClass),
  });
  const raw = new WiredDevice({
    guest: guest.domain,
    host: host.domain,
    frontend: driver,
    backend: portBackend(deviceClass),
  });
  await honest.connect();
  await raw.connect();
  misbehave(raw.frontend);
  await settleHosts(hosts);
  let flowed = 0;
  honest.backend.frames$.subscribe(() => {
    flowed += 1;
  });
  expect(honest.frontend.send(new Uint8Array(60))).toBe(true);
  honest.frontend.flush();
  await settleHosts(hosts);
  expect(flowed).toBe(1);
  await raw.remove();
  await honest.remove();
  expect(mappingsLeft(hosts)).toBe(0);
  for (const each of hosts) each.close();
  return raw.failures.map((failure) => failure.code);
}

describe('a vif frontend without manners, on real Xen', () => {
  const misbehave = (act: (front: RawVifFrontend) => void) => besideAnHonestPair(rawVifFrontendDriver(), act);

  it('names grants it never made: answered with errors, nothing else happens', async () => {
    const failures = await misbehave((front) =>
      front.transmit([
        { gref: 9999, size: 60 },
        { gref: NONSENSE, size: 1514 },
        { gref: 0, size: 60 },
      ]),
    );
    expect(failures).toEqual([]);
  });

  it('asks for bytes beyond a page', async () => {
    const failures = await misbehave((front) => {
      const ref = front.rings?.refs[0] ?? 0;
      front.transmit([
        { gref: ref, offset: 4090, size: 100 },
        { gref: ref, offset: 0xffff, size: 0xffff },
      ]);
    });
    expect(failures.every((code) => code === 'EPROTO')).toBe(true);
  });

  it('runs its producer index away: the device is closed', async () => {
    const failures = await misbehave((front) => {
      front.setIndex('tx', REQ_PROD, 0x7fff_ffff);
      front.notify();
    });
    expect(failures).toEqual(['EPROTO']);
  });

  it('sends events without end', async () => {
    const failures = await misbehave((front) => {
      for (let count = 0; count < 2000; count++) front.notify();
    });
    expect(failures).toEqual([]);
  });
});

describe('a vif2 frontend without manners, on real Xen', () => {
  const misbehave = (act: (front: RawVif2Frontend) => void) =>
    besideAnHonestPair(rawVif2FrontendDriver(), act);

  it('writes messages that are none: the device is closed', async () => {
    const failures = await misbehave((front) => front.transmit([0xffff_ffff | 0, 0x1234, 0, 0]));
    expect(failures).toEqual(['EPROTO']);
  });

  it('runs its producer index away: the device is closed', async () => {
    const failures = await misbehave((front) => {
      front.ring.setIndex('produce', 0, 0x7fff_fff8);
      front.notify();
    });
    expect(failures).toEqual(['EPROTO']);
  });
});
