import type { BackendDriver } from '@netchannel2/device-registry';
import { CopyBatches } from './copy-batches';
import { Netback } from './netback';
import { type NetbackOptions, netbackSettings } from './options';

/**
 * The vif backend driver, to be bound to a driver domain's device registry.
 *
 * @throws RangeError when an option is out of its range.
 */
export function netbackDriver(options: NetbackOptions = {}): BackendDriver<Netback> {
  const settings = netbackSettings(options);
  const batches = new CopyBatches();
  return { deviceClass: 'vif', create: (link) => new Netback(link, settings, batches) };
}
