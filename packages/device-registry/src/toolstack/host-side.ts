import type { DomainId, XenStore } from '@netchannel2/xen';
import { endPaths } from './device-ends';
import type { DeviceIdentity } from './device-nodes';
import { type HotplugAction, type HotplugScript, hotplugCall } from './hotplug';

/** Plugs the host side of devices in and out, where the toolstack's own domain serves them, and says so in the store. */
export class HostSide {
  constructor(
    private readonly store: XenStore,
    private readonly domid: DomainId,
    private readonly hotplug: HotplugScript | undefined,
  ) {}

  /** @throws what the script throws; for `online` the device's `hotplug-error` holds it too. */
  async plug(action: HotplugAction, device: DeviceIdentity, script: string): Promise<void> {
    if (this.hotplug === undefined || device.backend !== this.domid) return;
    const { backend } = endPaths(device);
    try {
      await this.hotplug(hotplugCall(action, device, backend, script));
    } catch (error) {
      if (action === 'online') {
        await this.writeBelow(backend, { 'hotplug-error': messageOf(error), 'hotplug-status': 'error' });
      }
      throw error;
    }
    if (action === 'online') await this.writeBelow(backend, { 'hotplug-status': 'connected' });
  }

  private writeBelow(directory: string, nodes: Readonly<Record<string, string>>): Promise<void> {
    return this.store.transaction(async (transaction) => {
      if ((await transaction.tryRead(directory)) === undefined) return;
      for (const [name, value] of Object.entries(nodes))
        await transaction.write(`${directory}/${name}`, value);
    });
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
