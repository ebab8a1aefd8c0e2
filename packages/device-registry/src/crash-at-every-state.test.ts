/** Either end is lost, or its directory is, at every step of an attach and a detach; nothing may be left of it. */
import type { XenStore } from '@netchannel2/xen';
import type { XenStoreClient } from '@netchannel2/xenstore';
import { describe, expect, it } from 'vitest';
import { type BackendBinding, bindBackends } from './bind-backends';
import { bindFrontends, type FrontendBinding } from './bind-frontends';
import { DEVICE_CLASSES } from './device-paths';
import type { DeviceClass } from './driver';
import {
  fakeBackend,
  fakeFrontend,
  type ScriptedBackend,
  type ScriptedFrontend,
} from './testing/fake-drivers';
import { GUEST, type RegistryLab, startLab } from './testing/registry-lab';

/** All timeouts of toolstack and drivers are shorter than so many intervals (milliseconds). */
const INTERVAL = 5_000;
const ROUNDS = 40;

/** One run of a device's life, with everything a crash needs to get at. */
class Life {
  readonly frontends: FrontendBinding<ScriptedFrontend>;
  readonly backends: BackendBinding<ScriptedBackend>;
  readonly frontendStore: XenStore;
  readonly backendStore: XenStore;

  constructor(
    readonly lab: RegistryLab,
    readonly type: DeviceClass,
  ) {
    this.frontendStore = lab.client(1);
    this.backendStore = lab.client(0);
    this.backends = bindBackends(lab.domain(0, this.backendStore), fakeBackend(type));
    this.frontends = bindFrontends(lab.domain(1, this.frontendStore), fakeFrontend(type));
  }

  /** Attach, then detach; what is written on the way ends up in the lab's trace. */
  async run(): Promise<void> {
    const toolstack = this.lab.toolstack();
    const attached = toolstack.attach(GUEST, { type: this.type }).catch(() => undefined);
    await finish(
      this.lab,
      attached.then((entry) =>
        entry === undefined ? undefined : toolstack.detach(GUEST, this.type, 0).catch(() => undefined),
      ),
    );
  }
}

/** Lets time pass until something is done, however many timeouts follow one another. */
async function finish(lab: RegistryLab, work: Promise<unknown>): Promise<void> {
  let done = false;
  void work.then(() => {
    done = true;
  });
  await lab.settle();
  for (let round = 0; !done && round < ROUNDS; round++) await lab.advance(INTERVAL);
  expect(done, 'comes to an end').toBe(true);
}

type Crash = (life: Life) => Promise<unknown> | unknown;

const drop = (store: XenStore) => (store as XenStoreClient).close();
const CRASHES: Readonly<Record<string, Crash>> = {
  'the guest is destroyed': ({ lab }) => lab.server.releaseDomain(1),
  'the frontend’s directory is removed': ({ lab, type }) =>
    lab.root.remove(`/local/domain/1/device/${type}/0`),
  'the backend’s directory is removed': ({ lab, type }) =>
    lab.root.remove(`/local/domain/0/backend/${type}/1`),
  'both directories are removed': async ({ lab, type }) => {
    await lab.root.remove(`/local/domain/0/backend/${type}`);
    await lab.root.remove(`/local/domain/1/device/${type}`);
  },
  'the frontend’s driver loses xenstore': ({ frontendStore }) => drop(frontendStore),
  'the backend’s driver loses xenstore': ({ backendStore }) => drop(backendStore),
  'the frontend’s user closes it': ({ frontends }) => void frontends.close(),
  'the backend’s user closes it': ({ backends }) => void backends.close(),
};

/** Whose run it was and what it wrote, without any crash. */
async function undisturbed(type: DeviceClass): Promise<string[]> {
  const lab = await startLab();
  const life = new Life(lab, type);
  await lab.settle();
  await life.run();
  return lab.take();
}

describe.each(DEVICE_CLASSES)('%s: a crash at every step', (type) => {
  it('the steps', async () => {
    const published = type === 'vif' ? ['F:4', 'B:4'] : ['F:3', 'B:4', 'F:4'];
    const asked = type === 'vif' ? ['T:B:5', 'F:6', 'B:6'] : ['B:5', 'F:6', 'B:6'];
    expect(await undisturbed(type)).toEqual(['T:F:1', 'T:B:1', 'B:2', ...published, ...asked]);
  });

  const steps = type === 'vif' ? 8 : 9;
  const cases = Object.keys(CRASHES).flatMap((crash) =>
    Array.from({ length: steps }, (_, step) => ({ crash, step })),
  );

  it.each(cases)('$crash after step $step', async ({ crash, step }) => {
    const lab = await startLab();
    const fresh = lab.residue();
    const life = new Life(lab, type);
    await lab.settle();
    let seen = 0;
    lab.wrote = () => {
      seen += 1;
      if (seen === step + 1) void CRASHES[crash]?.(life);
    };
    await life.run();
    lab.wrote = () => {};

    // Whatever happened, no driver holds anything for a device that is gone, and no call is under way.
    await finish(lab, lab.toolstack().detachAll(GUEST, { force: true }));
    for (const device of [...life.frontends.devices, ...life.backends.devices]) {
      expect(device.held, device.calls.join(' ')).toBe(false);
    }

    // Everybody comes back, and the next device works as the first should have.
    await lab.domainReturns(1);
    await finish(lab, Promise.all([life.frontends.close(), life.backends.close()]));
    lab.take();
    const backends = bindBackends(lab.domain(0), fakeBackend(type));
    const frontends = bindFrontends(lab.domain(1), fakeFrontend(type));
    const entry = await lab.toolstack().attach(GUEST, { type });
    expect(entry).toMatchObject({ frontendState: 4, backendState: 4, errors: [] });
    await lab.toolstack().detach(GUEST, type, 0);
    await frontends.close();
    await backends.close();
    drop(life.frontendStore);
    drop(life.backendStore);
    await lab.settle();
    expect(lab.residue()).toEqual(fresh);
  });
});
