import type {
  BackendDevice,
  BackendDriver,
  DeviceClass,
  FrontendDevice,
  FrontendDriver,
} from '@netchannel2/device-registry';
import { type Netback, type NetbackOptions, netbackDriver } from '@netchannel2/netback';
import { type Netback2, type Netback2Options, netback2Driver } from '@netchannel2/netback2';
import { type Netfront, type NetfrontOptions, netfrontDriver } from '@netchannel2/netfront';
import { type Netfront2, type Netfront2Options, netfront2Driver } from '@netchannel2/netfront2';

/** The project's own frontend of each class. */
export interface Frontends {
  readonly vif: Netfront;
  readonly vif2: Netfront2;
}

/** The project's own backend of each class. */
export interface Backends {
  readonly vif: Netback;
  readonly vif2: Netback2;
}

/** Options for all drivers of a lab. */
export interface LabDriverOptions {
  readonly netfront?: NetfrontOptions;
  readonly netback?: NetbackOptions;
  readonly netfront2?: Netfront2Options;
  readonly netback2?: Netback2Options;
}

export type FrontendDrivers = Readonly<Record<DeviceClass, FrontendDriver<FrontendDevice>>>;
export type BackendDrivers = Readonly<Record<DeviceClass, BackendDriver<BackendDevice>>>;

export function frontendDrivers(options: LabDriverOptions): FrontendDrivers {
  return { vif: netfrontDriver(options.netfront), vif2: netfront2Driver(options.netfront2) };
}

export function backendDrivers(options: LabDriverOptions): BackendDrivers {
  return { vif: netbackDriver(options.netback), vif2: netback2Driver(options.netback2) };
}
