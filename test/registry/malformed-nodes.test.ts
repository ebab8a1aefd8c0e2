/**
 * Nodes that are missing, malformed or written by the wrong domain, with the real drivers: the reader falls back to the
 * default or gives its device up with an error node, and two neighbours on the same bridge talk on.
 */
import {
  type BackendDevice,
  type BackendDriver,
  DEVICE_CLASSES,
  type FrontendDevice,
  type FrontendDriver,
} from '@netchannel2/device-registry';
import { backendDrivers, frontendDrivers, type LabGuest } from '@netchannel2/testing';
import type { FramePort } from '@netchannel2/xen';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FaultSite, frameTo } from '../faults/site';
import { BACKEND_CASES, FRONTEND_CASES, type NodeChanges, type Outcome } from './node-cases';

const ODD_MAC = '02:00:00:00:00:66';
const LENGTH = 333;

type Nodes = Readonly<Record<string, string>>;

const changed = (nodes: Nodes, changes: NodeChanges): Nodes =>
  Object.fromEntries(
    Object.entries({ ...nodes, ...changes }).filter(
      (entry): entry is [string, string] => entry[1] !== undefined,
    ),
  );

describe.each(DEVICE_CLASSES)('%s', (deviceClass) => {
  let site: FaultSite;
  let odd: LabGuest;
  let frontendChanges: NodeChanges = {};
  let backendChanges: NodeChanges = {};

  const frontend: FrontendDriver = {
    deviceClass,
    create: (link) => {
      const device: FrontendDevice = frontendDrivers({})[deviceClass].create(link);
      const prepare = device.prepare.bind(device);
      return Object.assign(device, { prepare: async () => changed(await prepare(), frontendChanges) });
    },
  };
  const backend: BackendDriver = {
    deviceClass,
    create: (link) => {
      const device: BackendDevice = backendDrivers({})[deviceClass].create(link);
      const features = device.features.bind(device);
      const changes = () => (link.peer === odd?.domain.id ? backendChanges : {});
      return Object.assign(device, { features: async () => changed(await features(), changes()) });
    },
  };

  beforeAll(async () => {
    site = await FaultSite.build(deviceClass, {}, { [deviceClass]: backend });
    odd = await site.lab.addGuest({ name: 'odd', frontends: { [deviceClass]: frontend } });
  });
  afterEach(async () => {
    frontendChanges = {};
    backendChanges = {};
    await site.expectHonestTraffic();
  });
  afterAll(() => site.end());

  const attach = (): Promise<FramePort> =>
    odd.attach(deviceClass, { mac: ODD_MAC, guestTrusted: true }) as Promise<FramePort>;

  const expectFrames = async (port: FramePort) => {
    const lengths: [number[], number[]] = [[], []];
    const heard = [port, site.ports[0]].map((end, index) =>
      end.frames$.subscribe((frame) => lengths[index]?.push(frame.byteLength)),
    );
    expect(port.send(frameTo(site.macOf(0), ODD_MAC, LENGTH))).toBe(true);
    await site.clock.advance(5);
    expect(site.ports[0].send(frameTo(ODD_MAC, site.macOf(0), LENGTH))).toBe(true);
    await site.clock.advance(5);
    for (const subscription of heard) subscription.unsubscribe();
    expect(lengths).toEqual([[LENGTH], [LENGTH]]);
  };

  const expectOutcome = async (reader: 'frontend' | 'backend', outcome: Outcome) => {
    if (outcome instanceof RegExp) {
      const reason = new RegExp(`${reader} Clos(ing|ed).*: .*${outcome.source}`);
      await expect(attach()).rejects.toThrow(reason);
      return;
    }
    const port = await attach();
    await site.expectConnected(odd);
    if (outcome === 'works') await expectFrames(port);
    await odd.detach(deviceClass);
  };

  it.each(FRONTEND_CASES[deviceClass])('frontend with %s', async (_, changes, outcome) => {
    frontendChanges = changes;
    await expectOutcome('backend', outcome);
  });

  it.each(BACKEND_CASES[deviceClass])('backend with %s', async (_, changes, outcome) => {
    backendChanges = changes;
    await expectOutcome('frontend', outcome);
  });

  describe('a guest writes what is not its own', () => {
    beforeAll(async () => {
      await attach();
    });
    afterAll(() => odd.detach(deviceClass));

    it.each([
      ['another guest’s state', `/local/domain/1/device/${deviceClass}/0/state`],
      ['another guest’s port', `/local/domain/1/device/${deviceClass}/0/event-channel`],
      ['a new node of another guest', `/local/domain/1/data/mine`],
      ['another guest’s backend state', `/local/domain/0/backend/${deviceClass}/1/0/state`],
      ['its own backend’s state', `/local/domain/0/backend/${deviceClass}/3/0/state`],
      ['its own backend’s online', `/local/domain/0/backend/${deviceClass}/3/0/online`],
      ['a backend of its own making', `/local/domain/0/backend/${deviceClass}/3/7/state`],
      ['dom0’s error node', `/local/domain/0/error/backend/${deviceClass}/3/0/error`],
      ['the toolstack’s record', `/libxl/3/device/${deviceClass}/0/backend`],
      ['its own mtu', `/local/domain/3/device/${deviceClass}/0/mtu`],
      ['a device of its own making', `/local/domain/3/device/${deviceClass}/7/state`],
    ])('%s', async (_, path) => {
      expect(odd.id).toBe(3);
      const before = await site.lab.during(site.lab.dom0.store.tryRead(path));
      await expect(site.lab.during(odd.domain.store.write(path, '6'))).rejects.toMatchObject({
        code: 'EACCES',
      });
      expect(await site.lab.during(site.lab.dom0.store.tryRead(path))).toBe(before);
      await site.expectConnected(odd);
    });
  });
});
