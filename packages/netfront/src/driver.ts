import type { FrontendDriver } from '@netchannel2/device-registry';
import { Netfront } from './netfront';
import { type NetfrontOptions, netfrontSettings } from './options';

/**
 * The vif frontend driver, to be bound to a domain's device registry.
 *
 * @throws RangeError when an option is out of its range.
 */
export function netfrontDriver(options: NetfrontOptions = {}): FrontendDriver<Netfront> {
  const settings = netfrontSettings(options);
  return { deviceClass: 'vif', create: (link) => new Netfront(link, settings) };
}
