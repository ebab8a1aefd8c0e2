/**
 * What a frontend without manners can do to the backends from user space: over real grants and event channels, a raw frontend
 * beside an honest pair that must not notice.
 */
import type { BackendDevice, FrontendDevice, FrontendDriver } from '@netchannel2/device-registry';
import { REQ_PROD } from '@netchannel2/netif';
import {
  type RawTxRequest,
  type RawVif2Frontend,
  type RawVifFrontend,
  rawVif2BackendDriver,
  rawVif2FrontendDriver,
  rawVifFrontendDriver,
  SeededRandom,
  WiredDevice,
} from '@netchannel2/testing';
import type { FramePort } from '@netchannel2/xen';
import { describe, expect, it } from 'vitest';
import { portBackend, portFrontend } from '../../conformance/wired-ports';
import { HostilePeer } from '../../vif2/hostile-peer';
import { openProbedHost, type ProbedHost, settleHosts } from './dom0-host';

const MORE = 4;
const EXTRA = 8;
const NONSENSE = 0x7ff0_0000;
/** Messages and indices that a peer out of control writes. */
const MUTATIONS = 400;

/** Both ends in processes' worth of handles of their own. */
async function openPair(): Promise<readonly [ProbedHost, ProbedHost]> {
  return [await openProbedHost(), await openProbedHost()];
}

function mappingsLeft(hosts: readonly ProbedHost[]): number {
  return hosts.reduce((sum, host) => sum + host.domain.foreign.mappings, 0);
}

/** An honest pair beside what is tested; frames flow through it at the end, and nothing stays mapped. */
async function besideAnHonestPair(
  deviceClass: 'vif' | 'vif2',
  body: (hosts: readonly [ProbedHost, ProbedHost]) => Promise<void>,
): Promise<void> {
  const hosts = await openPair();
  const [guest, host] = hosts;
  const honest = new WiredDevice({
    guest: guest.domain,
    host: host.domain,
    frontend: portFrontend(deviceClass),
    backend: portBackend(deviceClass),
  });
  await honest.connect();
  await body(hosts);
  let flowed = 0;
  honest.backend.frames$.subscribe(() => {
    flowed += 1;
  });
  expect(honest.frontend.send(new Uint8Array(60))).toBe(true);
  honest.frontend.flush();
  await settleHosts(hosts);
  expect(flowed).toBe(1);
  await honest.remove();
  await settleHosts(hosts, 2);
  expect(honest.failures).toEqual([]);
  expect(mappingsLeft(hosts)).toBe(0);
  for (const each of hosts) each.close();
}

/** What a backend gave up for when a raw frontend did `misbehave`. */
async function answerTo<Front extends RawVifFrontend | RawVif2Frontend>(
  driver: FrontendDriver<Front>,
  misbehave: (front: Front, data: number) => void,
): Promise<readonly string[]> {
  const { deviceClass } = driver;
  const codes: string[] = [];
  await besideAnHonestPair(deviceClass, async (hosts) => {
    const [guest, host] = hosts;
    const raw = new WiredDevice({
      guest: guest.domain,
      host: host.domain,
      frontend: driver,
      backend: portBackend(deviceClass),
    });
    await raw.connect();
    const data = guest.domain.grants.share(host.domain.id, 1, 'readonly');
    misbehave(raw.frontend, data?.refs[0] ?? 0);
    await settleHosts(hosts);
    await raw.remove();
    data?.end();
    codes.push(...raw.failures.map((failure) => failure.code));
  });
  return codes;
}

const chain = (gref: number, slots: number): RawTxRequest[] =>
  Array.from({ length: slots }, (_, index) => ({
    gref,
    size: index === 0 ? 4000 : 100,
    flags: index < slots - 1 ? MORE : 0,
  }));

/** An extra slot as the words of a request: type and flags lie where a reference would, its body behind. */
const extra = (type: number, more = false, body = 0, second = 0): RawTxRequest => ({
  gref: (type | ((more ? 1 : 0) << 8) | (body << 16)) >>> 0,
  offset: second & 0xffff,
  flags: second >>> 16,
  id: 0,
  size: 0,
});

describe('a vif frontend without manners, on real Xen', () => {
  for (const { name, requests } of [
    {
      name: 'grants it never made, and numbers that are none',
      requests: () => [
        { gref: 9999, size: 60 },
        { gref: NONSENSE, size: 1514 },
        { gref: 0xffff_ffff, size: 60 },
        { gref: 0, size: 60 },
      ],
    },
    {
      name: 'packets shorter than a header',
      requests: (ref: number) => [13, 1, 0].map((size) => ({ gref: ref, size })),
    },
    {
      name: 'fragments longer than their packet',
      requests: (ref: number) => [
        { gref: ref, size: 100, flags: MORE },
        { gref: ref, size: 200 },
      ],
    },
    { name: 'packets of 20 and 21 slots', requests: (ref: number) => [...chain(ref, 20), ...chain(ref, 21)] },
    {
      name: 'a fragment of a grant never made',
      requests: (ref: number) => [
        { gref: ref, size: 160, flags: MORE },
        { gref: NONSENSE, size: 100 },
      ],
    },
  ]) {
    it(`${name}: answered with errors, and the device lives`, async () => {
      expect(await answerTo(rawVifFrontendDriver(), (front, ref) => front.transmit(requests(ref)))).toEqual(
        [],
      );
    });
  }

  for (const { name, requests } of [
    { name: 'bytes beyond a page', requests: (ref: number) => [{ gref: ref, offset: 4090, size: 100 }] },
    {
      name: 'an offset beyond a page',
      requests: (ref: number) => [{ gref: ref, offset: 0xffff, size: 0xffff }],
    },
    { name: 'a packet of 22 slots', requests: (ref: number) => chain(ref, 22) },
    { name: 'a packet without an end', requests: (ref: number) => [{ gref: ref, size: 100, flags: MORE }] },
    {
      name: 'extra info of no type',
      requests: (ref: number) => [{ gref: ref, size: 60, flags: EXTRA }, extra(0)],
    },
    {
      name: 'extra info of a type that is none',
      requests: (ref: number) => [{ gref: ref, size: 60, flags: EXTRA }, extra(6)],
    },
    {
      name: 'extra info that never comes',
      requests: (ref: number) => [{ gref: ref, size: 60, flags: EXTRA }, extra(1, true, 1448, 1)],
    },
    {
      name: 'segments of no size',
      requests: (ref: number) => [{ gref: ref, size: 60, flags: EXTRA }, extra(1, false, 0, 1)],
    },
  ]) {
    it(`${name}: the device is closed`, async () => {
      expect(await answerTo(rawVifFrontendDriver(), (front, ref) => front.transmit(requests(ref)))).toEqual([
        'EPROTO',
      ]);
    });
  }

  for (const index of [0x7fff_ffff, 257, 0xffff_ffff]) {
    it(`a producer index of ${index}: the device is closed`, async () => {
      const codes = await answerTo(rawVifFrontendDriver(), (front) => {
        front.setIndex('tx', REQ_PROD, index);
        front.notify();
      });
      expect(codes).toEqual(['EPROTO']);
    });
  }

  it('events without end', async () => {
    const codes = await answerTo(rawVifFrontendDriver(), (front) => {
      for (let count = 0; count < 2000; count++) front.notify();
    });
    expect(codes).toEqual([]);
  });
});

describe('frontends whose nodes do not work out, on real Xen', () => {
  for (const { name, driver, change, code } of [
    {
      name: 'a TX ring never granted',
      driver: rawVifFrontendDriver,
      change: { 'tx-ring-ref': '9999' },
      code: 'EINVAL',
    },
    {
      name: 'a ring reference that is none',
      driver: rawVifFrontendDriver,
      change: { 'rx-ring-ref': 'abc' },
      code: 'EINVAL',
    },
    {
      name: 'a port nobody opened',
      driver: rawVifFrontendDriver,
      change: { 'event-channel': '4000' },
      code: 'EINVAL',
    },
    {
      name: 'no copying',
      driver: rawVifFrontendDriver,
      change: { 'request-rx-copy': '0' },
      code: 'EOPNOTSUPP',
    },
    {
      name: 'a control ring never granted',
      driver: rawVif2FrontendDriver,
      change: { 'control-ring-ref': '9999' },
      code: 'EINVAL',
    },
    {
      name: 'a byte ring beyond the table',
      driver: rawVif2FrontendDriver,
      change: { 'prod-ring-ref-0': String(1 << 24) },
      code: 'EINVAL',
    },
  ] as const) {
    const { deviceClass } = driver();
    it(`${deviceClass}: ${name}`, async () => {
      await besideAnHonestPair(deviceClass, async ([guest, host]) => {
        const raw = new WiredDevice<FrontendDevice, BackendDevice>({
          guest: guest.domain,
          host: host.domain,
          frontend: driver((nodes) => ({ ...nodes, ...change })),
          backend: portBackend(deviceClass),
        });
        const failure: unknown = await raw.connect().catch((reason: unknown) => reason);
        expect(failure).toMatchObject({ code });
        await raw.backend.disconnect();
        await raw.frontend.disconnect();
        raw.backend.removed();
        raw.frontend.removed();
      });
    });
  }
});

describe('a vif2 frontend without manners, on real Xen', () => {
  it('messages that are none: the device is closed', async () => {
    const codes = await answerTo(rawVif2FrontendDriver(), (front) =>
      front.transmit([0xffff_ffff | 0, 0x1234, 0, 0]),
    );
    expect(codes).toEqual(['EPROTO']);
  });

  it('a producer index that ran away: the device is closed', async () => {
    const codes = await answerTo(rawVif2FrontendDriver(), (front) => {
      front.ring.setIndex('produce', 0, 0x7fff_fff8);
      front.notify();
    });
    expect(codes).toEqual(['EPROTO']);
  });

  it('events without end', async () => {
    const codes = await answerTo(rawVif2FrontendDriver(), (front) => {
      for (let count = 0; count < 2000; count++) front.notify();
    });
    expect(codes).toEqual([]);
  });
});

/**
 * Rounds against one driver: whatever the peer writes, no exception, no frame that is none, nothing left mapped. A device that gave
 * up is connected anew.
 */
async function outOfControl<Front extends FrontendDevice, Back extends BackendDevice>(
  hosts: readonly [ProbedHost, ProbedHost],
  device: WiredDevice<Front, Back>,
  victim: FramePort,
  meet: (random: SeededRandom) => HostilePeer,
): Promise<{ connections: number; emitted: number }> {
  const random = new SeededRandom(20_261_124);
  let emitted = 0;
  victim.frames$.subscribe((frame) => {
    emitted += 1;
    if (frame.byteLength < 14 || frame.byteLength > 65_536) throw new Error('no frame at all');
    if (random.integer(0, 3) === 0) victim.send(frame);
  });
  let peer: HostilePeer | undefined;
  let connections = 0;
  let done = 0;
  for (let left = 0; done + (peer?.mutations ?? 0) < MUTATIONS; left -= 1) {
    if (peer === undefined || device.failures.length > 0 || left === 0) {
      await device.disconnect();
      peer?.end();
      done += peer?.mutations ?? 0;
      device.failures.length = 0;
      await device.connect();
      connections += 1;
      peer = meet(random);
      peer.greet();
      left = random.pick([20, 80]);
    }
    peer.act();
    if (random.integer(0, 2) === 0) victim.send(new Uint8Array(random.pick([60, 300, 1514, 6000])));
    await settleHosts(hosts, 1);
  }
  await device.remove();
  peer?.end();
  await settleHosts(hosts);
  return { connections, emitted };
}

describe('vif2 peers out of control, on real Xen', () => {
  it(`netback2 survives a frontend that writes ${MUTATIONS} things at random`, async () => {
    await besideAnHonestPair('vif2', async (hosts) => {
      const [guest, host] = hosts;
      const device = new WiredDevice({
        guest: guest.domain,
        host: host.domain,
        frontend: rawVif2FrontendDriver(),
        backend: portBackend('vif2'),
      });
      const outcome = await outOfControl(hosts, device, device.backend, (random) => {
        const { frontend } = device;
        return new HostilePeer(random, frontend, guest.domain, host.domain.id, frontend.ring.incoming);
      });
      expect(outcome.emitted).toBeGreaterThan(0);
      expect(outcome.connections).toBeGreaterThan(1);
    });
  });

  it(`netfront2 survives a backend that writes ${MUTATIONS} things at random`, async () => {
    await besideAnHonestPair('vif2', async (hosts) => {
      const [guest, host] = hosts;
      const device = new WiredDevice({
        guest: guest.domain,
        host: host.domain,
        frontend: portFrontend('vif2'),
        backend: rawVif2BackendDriver(),
      });
      const outcome = await outOfControl(hosts, device, device.frontend, (random) => {
        const { backend } = device;
        return new HostilePeer(random, backend, host.domain, guest.domain.id, backend.ring.incoming);
      });
      expect(outcome.emitted).toBeGreaterThan(0);
      expect(outcome.connections).toBeGreaterThan(1);
    });
  });
});
