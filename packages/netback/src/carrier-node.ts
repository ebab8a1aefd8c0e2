import type { DeviceLink } from '@netchannel2/device-registry';

/** Node of the backend's directory that tells the guest whether its frames go anywhere (`io/netif.h`). */
const CARRIER_NODE = 'carrier';

/** Writes the node, unless the directory is gone: a removed device must not come back. */
export async function showCarrier(link: DeviceLink, on: boolean): Promise<void> {
  const path = `${link.ownPath}/${CARRIER_NODE}`;
  await link.domain.store.transaction(async (transaction) => {
    if ((await transaction.tryRead(`${link.ownPath}/state`)) === undefined) return;
    await transaction.write(path, on ? '1' : '0');
  });
}
