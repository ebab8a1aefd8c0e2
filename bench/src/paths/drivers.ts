import type {
  BackendDevice,
  BackendDriver,
  DeviceClass,
  FrontendDevice,
  FrontendDriver,
} from '@netchannel2/device-registry';
import { netbackDriver } from '@netchannel2/netback';
import { netback2Driver } from '@netchannel2/netback2';
import { netfrontDriver } from '@netchannel2/netfront';
import { netfront2Driver } from '@netchannel2/netfront2';
import type { FramePort } from '@netchannel2/xen';

export type PortFrontend = FrontendDriver<FrontendDevice & FramePort>;
export type PortBackend = BackendDriver<BackendDevice & FramePort>;

/** Both classes with the rings a fast network asks for: vif2 with eight pages each way; a vif's rings have one size. */
export const FRONTENDS: Readonly<Record<DeviceClass, () => PortFrontend>> = {
  vif: () => netfrontDriver(),
  vif2: () => netfront2Driver({ ringPageOrder: 3 }),
};

export const BACKENDS: Readonly<Record<DeviceClass, () => PortBackend>> = {
  vif: () => netbackDriver(),
  vif2: () => netback2Driver(),
};
