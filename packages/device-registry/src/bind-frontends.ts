import type { Domain } from '@netchannel2/xen';
import { type DeviceBinding, RunnerBinding } from './device-binding';
import { domainPath, parseDeviceNumber } from './device-paths';
import type { FrontendDevice, FrontendDriver } from './driver';
import { FrontendRunner } from './frontend-runner';

export interface FrontendBinding<Device> extends DeviceBinding<Device> {
  /**
   * The domain continued somewhere else, after a migration or a restore: what was shared before means nothing here.
   * Every device lets go, is created anew and connects again.
   */
  resume(): void;
}

class BoundFrontends<Device extends FrontendDevice>
  extends RunnerBinding<Device, FrontendRunner<Device>>
  implements FrontendBinding<Device>
{
  resume(): void {
    for (const runner of this.runners.values()) runner.resume();
  }
}

export interface FrontendOptions {
  /** Which devices to serve by their number; the others are left to the kernel or another process. Default: all. */
  readonly serves?: (number: number) => boolean;
}

/** Serves every frontend of the driver's class in `domain`, those there now and those attached later. */
export function bindFrontends<Device extends FrontendDevice>(
  domain: Domain,
  driver: FrontendDriver<Device>,
  options: FrontendOptions = {},
): FrontendBinding<Device> {
  const binding: BoundFrontends<Device> = new BoundFrontends(domain, driver.deviceClass, {
    root: `${domainPath(domain.id)}/device/${driver.deviceClass}`,
    depth: 1,
    create: ([name], ownPath) => {
      const number = parseDeviceNumber(name);
      if (number === undefined || options.serves?.(number) === false) return undefined;
      return new FrontendRunner(binding, ownPath, number, driver);
    },
  });
  return binding;
}
