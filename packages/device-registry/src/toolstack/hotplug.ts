/**
 * The hotplug script's interface (spec `xenbus.md` §6): what a script, or a function in its place, is told.
 *
 * @packageDocumentation
 */
import type { DeviceIdentity } from './device-nodes';

export type HotplugAction = 'online' | 'offline';

export interface HotplugCall {
  readonly action: HotplugAction;
  readonly device: DeviceIdentity;
  /** The backend's directory, absolute. */
  readonly backendPath: string;
  /** What a script finds in its environment. */
  readonly environment: Readonly<Record<string, string>>;
}

/**
 * Plugs the host side in or out. Once `online` resolves, the toolstack writes `hotplug-status` = `connected`; its
 * rejection fails the attach. A rejected `offline` is ignored: the device goes in any case.
 */
export type HotplugScript = (call: HotplugCall) => Promise<void>;

export function interfaceName(device: DeviceIdentity): string {
  const separator = device.type === 'vif' ? '' : '-';
  return `${device.type}${separator}${device.domid}.${device.number}`;
}

export function hotplugCall(
  action: HotplugAction,
  device: DeviceIdentity,
  backendPath: string,
  script: string,
): HotplugCall {
  const name = interfaceName(device);
  const environment = {
    script,
    XENBUS_TYPE: device.type,
    XENBUS_PATH: backendPath.slice(backendPath.indexOf('backend/')),
    XENBUS_BASE_PATH: 'backend',
    netdev: '',
    vif: name,
  };
  return { action, device, backendPath, environment };
}
