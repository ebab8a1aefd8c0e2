import type {
  BackendDevice,
  BackendDriver,
  DeviceClass,
  FrontendDevice,
  FrontendDriver,
} from '@netchannel2/device-registry';
import { FramePool } from '@netchannel2/frames';
import { netbackDriver } from '@netchannel2/netback';
import { netback2Driver } from '@netchannel2/netback2';
import { netfrontDriver } from '@netchannel2/netfront';
import { netfront2Driver } from '@netchannel2/netfront2';
import { WiredDevice } from '@netchannel2/testing';
import type { FramePortPair } from '@netchannel2/testing/conformance';
import type { FramePort } from '@netchannel2/xen';
import type { Version } from './simulated-domains';
import { bootQuietMachine } from './simulated-machine';

/** A vif carries a byte less than a vif2. */
export const LONGEST_FRAME: Readonly<Record<DeviceClass, number>> = { vif: 65535, vif2: 65536 };

/** Longer than a FINISH may be delayed, and than either class waits for pages. */
const QUIET_TIME = 20;
/** As {@link QUIET_TIME}, for what a peer holds on to. */
const RETRY_TIME = 2_000;

type PortFrontend = FrontendDriver<FrontendDevice & FramePort>;
type PortBackend = BackendDriver<BackendDevice & FramePort>;

/** A frontend of the class with its default options. */
export const portFrontend = (deviceClass: DeviceClass): PortFrontend => FRONTENDS[deviceClass]();
export const portBackend = (deviceClass: DeviceClass): PortBackend => BACKENDS[deviceClass]();

const FRONTENDS: Readonly<Record<DeviceClass, () => PortFrontend>> = {
  vif: () => netfrontDriver(),
  vif2: () => netfront2Driver(),
};
const BACKENDS: Readonly<Record<DeviceClass, () => PortBackend>> = {
  vif: () => netbackDriver(),
  vif2: () => netback2Driver(),
};

/** A frontend in a guest and its backend in dom0, wired to each other; `a` is the frontend. */
export function wiredPorts(
  deviceClass: DeviceClass,
  versions: { readonly guest: Version; readonly dom0: Version },
) {
  return async (): Promise<FramePortPair> => {
    const { machine, clock, leaks } = bootQuietMachine(64);
    const dom0 = machine.createDomain({ name: 'dom0', grantTableVersion: versions.dom0, memoryPages: 4096 });
    const guest = machine.createDomain({
      name: 'guest',
      grantTableVersion: versions.guest,
      memoryPages: 4096,
    });
    const pool = FramePool.create(guest.memory, 64);
    const device = new WiredDevice({
      guest,
      host: dom0,
      frontend: FRONTENDS[deviceClass](),
      backend: BACKENDS[deviceClass](),
      clock,
    });
    await device.connect();
    await clock.advance(QUIET_TIME);
    return {
      a: device.frontend,
      b: device.backend,
      longestFrame: LONGEST_FRAME[deviceClass],
      poolOfA: pool,
      settle: () => clock.advance(QUIET_TIME),
      async remove() {
        await device.remove();
        await clock.advance(QUIET_TIME);
      },
      async close() {
        await device.remove();
        await clock.advance(RETRY_TIME);
        const left = [
          ...leaks(),
          ...device.failures.map((failure) => `the device failed: ${failure.message}`),
        ];
        if (pool !== undefined && pool.outstanding > 0)
          left.push(`${pool.outstanding} pages of the guest's pool`);
        machine.shutdown();
        if (left.length > 0) throw new Error(`left behind: ${left.join('; ')}`);
      },
    };
  };
}
