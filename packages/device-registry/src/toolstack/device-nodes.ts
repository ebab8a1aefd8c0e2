/**
 * The nodes the toolstack writes for a device, in libxl's order (spec `xenbus.md` §5, §6, §9).
 *
 * @packageDocumentation
 */
import type { DomainId, XenStoreOperations, XenStorePermission } from '@netchannel2/xen';
import { backendPath, frontendPath, libxlPath } from '../device-paths';
import type { DeviceClass } from '../driver';
import { BRIDGED_HOST_MAC, randomMac } from '../mac-address';
import { removeIfThere } from '../state-node';
import { DEFAULT_MTU, type SettledConfiguration } from './device-configuration';
import { formatRateNode } from './rate';

/** Which device: names its three directories. */
export interface DeviceIdentity {
  readonly type: DeviceClass;
  readonly domid: DomainId;
  readonly number: number;
  readonly backend: DomainId;
}

/** Node names and values in the order they are written. */
export type Leaves = readonly (readonly [name: string, value: string])[];

export interface DeviceNodes {
  readonly frontend: Leaves;
  /** Leaves of the frontend directory the guest may not write. */
  readonly frontendReadOnly: Leaves;
  readonly backend: Leaves;
  /** The toolstack's own facts beside its copy of the backend's leaves. */
  readonly record: Leaves;
}

/** Where the record says what class was asked for, when another one serves. */
export const REQUESTED_CLASS_NODE = 'requested-class';

const flag = (value: boolean): string => (value ? '1' : '0');

function optional(name: string, value: string | undefined): Leaves {
  return value === undefined ? [] : [[name, value]];
}

export function vifNodes(device: DeviceIdentity, configuration: SettledConfiguration): DeviceNodes {
  const { rate } = configuration;
  return {
    frontend: [
      ...frontendHead(device),
      ['handle', String(device.number)],
      ['mac', configuration.mac],
      ['trusted', flag(configuration.trusted)],
    ],
    frontendReadOnly: [['mtu', String(configuration.mtu)]],
    backend: [
      ...backendHead(device),
      ['script', configuration.script],
      ...optional('vifname', configuration.vifname),
      ['mac', configuration.mac],
      ...optional('ip', configuration.ip),
      ...optional('gatewaydev', configuration.gatewaydev),
      ...optional('vlan', configuration.vlan),
      ...optional('rate', rate && formatRateNode(rate)),
      ...optional('mtu', configuration.mtu === DEFAULT_MTU ? undefined : String(configuration.mtu)),
      ['bridge', configuration.bridge],
      ['handle', String(device.number)],
      ['type', configuration.emulated ? 'vif_ioemu' : 'vif'],
      ['hotplug-status', ''],
    ],
    record: recordHead(device),
  };
}

/** @param name the guest's name. */
export function vif2Nodes(
  device: DeviceIdentity,
  configuration: SettledConfiguration,
  name: string,
  random: () => number,
): DeviceNodes {
  const bridged = configuration.bridge !== '-';
  const hostMac = bridged ? BRIDGED_HOST_MAC : randomMac(random);
  const { rate, trusted, guestTrusted } = configuration;
  return {
    frontend: [
      ...frontendHead(device),
      ['mac', configuration.mac],
      ['remote-mac', hostMac],
      ['local-trusted', flag(guestTrusted)],
      ['remote-trusted', flag(trusted)],
      ['filter-mac', flag(!trusted)],
    ],
    frontendReadOnly: [['mtu', String(configuration.mtu)]],
    backend: [
      ...backendHead(device),
      ['handle', String(device.number)],
      ['domain', name],
      ['mac', hostMac],
      ['remote-mac', configuration.mac],
      ['local-trusted', flag(trusted)],
      ['remote-trusted', flag(guestTrusted)],
      ['filter-mac', flag(!guestTrusted)],
      ['max-bypasses', String(configuration.maxBypasses)],
      ['script', configuration.script],
      ...optional('vifname', configuration.vifname),
      ...optional('rate', rate && formatRateNode(rate)),
      ...optional('mtu', configuration.mtu === DEFAULT_MTU ? undefined : String(configuration.mtu)),
      ['bridge', configuration.bridge],
      ['hotplug-status', ''],
    ],
    record: recordHead(device),
  };
}

function paths(device: DeviceIdentity) {
  const { type, domid, number, backend } = device;
  return {
    frontend: frontendPath(domid, type, number),
    backend: backendPath(backend, type, domid, number),
    record: libxlPath(domid, type, number),
  };
}

function frontendHead(device: DeviceIdentity): Leaves {
  return [
    ['backend', paths(device).backend],
    ['backend-id', String(device.backend)],
    ['state', '1'],
  ];
}

function backendHead(device: DeviceIdentity): Leaves {
  return [
    ['frontend', paths(device).frontend],
    ['frontend-id', String(device.domid)],
    ['online', '1'],
    ['state', '1'],
  ];
}

function recordHead(device: DeviceIdentity): Leaves {
  return [
    ['frontend', paths(device).frontend],
    ['backend', paths(device).backend],
  ];
}

/**
 * Writes the three directories of a device into a transaction.
 *
 * @param toolstack owner of the record.
 */
export async function createDirectories(
  transaction: XenStoreOperations,
  device: DeviceIdentity,
  nodes: DeviceNodes,
  toolstack: DomainId,
): Promise<void> {
  const at = paths(device);
  // libxl leaves out of its copy what the record says itself.
  const own = new Set(nodes.record.map(([name]) => name));
  const copied = nodes.backend.filter(([name]) => !own.has(name) || name === 'frontend-id');
  await createDirectory(
    transaction,
    at.record,
    [{ domid: toolstack, access: 'none' }],
    [...nodes.record, ...copied],
  );
  const guestOwns: readonly XenStorePermission[] = [
    { domid: device.domid, access: 'none' },
    { domid: device.backend, access: 'read' },
  ];
  const backendOwns: readonly XenStorePermission[] = [
    { domid: device.backend, access: 'none' },
    { domid: device.domid, access: 'read' },
  ];
  await createDirectory(transaction, at.frontend, guestOwns, nodes.frontend);
  for (const [name, value] of nodes.frontendReadOnly) {
    await transaction.write(`${at.frontend}/${name}`, value);
    await transaction.setPermissions(`${at.frontend}/${name}`, backendOwns);
  }
  await createDirectory(transaction, at.backend, backendOwns, nodes.backend);
}

async function createDirectory(
  transaction: XenStoreOperations,
  path: string,
  permissions: readonly XenStorePermission[],
  leaves: Leaves,
): Promise<void> {
  await removeIfThere(transaction, path);
  await transaction.makeDirectory(path);
  await transaction.setPermissions(path, permissions);
  // Leaves inherit the permissions of their directory.
  for (const [name, value] of leaves) await transaction.write(`${path}/${name}`, value);
}
