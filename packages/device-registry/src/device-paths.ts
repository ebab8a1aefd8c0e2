/**
 * Where devices live in xenstore (spec `xenbus.md` §1).
 *
 * @packageDocumentation
 */
import { DOMID_FIRST_RESERVED, type DomainId, domainId } from '@netchannel2/xen';
import type { DeviceClass } from './driver';
import { parseDecimal } from './peer-values';

export const DEVICE_CLASSES: readonly DeviceClass[] = ['vif', 'vif2'];

/** The highest device number the registry hands out or accepts. */
export const MAX_DEVICE_NUMBER = 0xffff;

export function domainPath(domid: DomainId): string {
  return `/local/domain/${domid}`;
}

export function frontendPath(domid: DomainId, deviceClass: DeviceClass, number: number): string {
  return `/local/domain/${domid}/device/${deviceClass}/${number}`;
}

export function backendPath(
  backend: DomainId,
  deviceClass: DeviceClass,
  frontend: DomainId,
  number: number,
): string {
  return `/local/domain/${backend}/backend/${deviceClass}/${frontend}/${number}`;
}

/** The toolstack's own record of a device. */
export function libxlPath(domid: DomainId, deviceClass: DeviceClass, number: number): string {
  return `/libxl/${domid}/device/${deviceClass}/${number}`;
}

/** The error node an end writes, under its own home: `/local/domain/0/error/backend/vif/5/0/error`. */
export function errorPath(home: string, devicePath: string): string {
  return `${home}/error/${devicePath.slice(home.length + 1)}/error`;
}

/** An ordinary domain id in its plain decimal form. */
export function parseDomainId(text: string | undefined): DomainId | undefined {
  const value = parseDecimal(text, DOMID_FIRST_RESERVED - 1);
  return value === undefined ? undefined : domainId(value);
}

export function parseDeviceNumber(text: string | undefined): number | undefined {
  return parseDecimal(text, MAX_DEVICE_NUMBER);
}

export function parentPath(path: string): string {
  return path.slice(0, path.lastIndexOf('/'));
}

/** A path taken apart below a directory: `undefined` when it is not the directory or something in it. */
export function relativeParts(directory: string, path: string): string[] | undefined {
  if (path === directory) return [];
  if (!path.startsWith(`${directory}/`)) return undefined;
  return path.slice(directory.length + 1).split('/');
}
