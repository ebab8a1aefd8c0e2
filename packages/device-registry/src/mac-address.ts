/**
 * MAC addresses as xenstore holds them: `xx:xx:xx:xx:xx:xx`, lower case.
 *
 * @packageDocumentation
 */
import { DeviceError } from './driver';

/** What the host side of a bridged device is called; it must differ from the guest's. */
export const BRIDGED_HOST_MAC = 'fe:ff:ff:ff:ff:ff';

/** The six bytes of a MAC, or `undefined` when `text` is not `xx:xx:xx:xx:xx:xx` (either case). */
export function parseMac(text: string | undefined): Uint8Array | undefined {
  if (text === undefined || !/^[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}$/.test(text)) return undefined;
  return Uint8Array.from(text.split(':'), (part) => Number.parseInt(part, 16));
}

/** {@link parseMac} for a node that must be there; @throws {DeviceError} `EINVAL` naming the node. */
export function requireMac(node: string, text: string | undefined): Uint8Array {
  const mac = parseMac(text);
  if (mac === undefined) throw new DeviceError('EINVAL', `${node} is not a MAC address xx:xx:xx:xx:xx:xx`);
  return mac;
}

/** @param mac six bytes. */
export function formatMac(mac: Uint8Array): string {
  return Array.from(mac, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/** A MAC in Xen's own range `00:16:3e`, top bit of the fourth byte clear. `random` answers 0 … 1. */
export function randomMac(random: () => number): string {
  const byte = () => Math.floor(random() * 256) & 0xff;
  return formatMac(Uint8Array.of(0x00, 0x16, 0x3e, byte() & 0x7f, byte(), byte()));
}
