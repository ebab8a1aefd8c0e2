import type { XenStore } from '@netchannel2/xen';

/** Tells xenstore how plugging in the host side of a device went (spec xenbus.md §6), unless the device has gone meanwhile. */
export function writePlugStatus(store: XenStore, device: string, failure: string | undefined): Promise<void> {
  return store.transaction(async (transaction) => {
    if ((await transaction.tryRead(device)) === undefined) return;
    if (failure !== undefined) await transaction.write(`${device}/hotplug-error`, failure);
    await transaction.write(`${device}/hotplug-status`, failure === undefined ? 'connected' : 'error');
  });
}
