import type { Domain } from '@netchannel2/xen';
import { type BackendOptions, BackendRunner, defaultBackendOptions } from './backend-runner';
import { type DeviceBinding, RunnerBinding } from './device-binding';
import { domainPath, parseDeviceNumber, parseDomainId } from './device-paths';
import type { BackendDevice, BackendDriver } from './driver';

export type BackendBinding<Device> = DeviceBinding<Device>;

/** Serves every backend of the driver's class in `domain`, those there now and those attached later. */
export function bindBackends<Device extends BackendDevice>(
  domain: Domain,
  driver: BackendDriver<Device>,
  options: Partial<BackendOptions> = {},
): BackendBinding<Device> {
  const settled: BackendOptions = { ...defaultBackendOptions(domain.id), ...options };
  const binding: RunnerBinding<Device, BackendRunner<Device>> = new RunnerBinding(
    domain,
    driver.deviceClass,
    {
      root: `${domainPath(domain.id)}/backend/${driver.deviceClass}`,
      depth: 2,
      create: ([first, second], ownPath) => {
        const frontend = parseDomainId(first);
        const number = parseDeviceNumber(second);
        if (frontend === undefined || number === undefined) return undefined;
        if (settled.serves?.(frontend, number) === false) return undefined;
        return new BackendRunner(binding, ownPath, frontend, number, driver, settled);
      },
    },
  );
  return binding;
}
