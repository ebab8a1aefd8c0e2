/**
 * Argument structs of map, unmap and unmap_and_replace (spec grant-tables.md §3). Addresses are byte offsets into the
 * machine memory, multiples of 4.
 *
 * @packageDocumentation
 */

/** struct gnttab_map_grant_ref; offsets in 32-bit words. */
export const MAP_BYTES = 32;
export const MAP_HOST_ADDRESS = 0;
export const MAP_FLAGS = 2;
export const MAP_REF = 3;
/** `dom` u16 and, above it, `status` s16. */
export const MAP_DOM_STATUS = 4;
export const MAP_HANDLE = 5;
export const MAP_DEV_BUS_ADDRESS = 6;

/** Fills the inputs; `handle` and `dev_bus_addr` stay as they are. `hostAddress` is 0 … 2^32 - 1. */
export function writeMapGrantRef(
  words: Int32Array,
  address: number,
  hostAddress: number,
  flags: number,
  ref: number,
  domid: number,
): void {
  const base = address >>> 2;
  words[base + MAP_HOST_ADDRESS] = hostAddress;
  words[base + MAP_HOST_ADDRESS + 1] = 0;
  words[base + MAP_FLAGS] = flags;
  words[base + MAP_REF] = ref;
  words[base + MAP_DOM_STATUS] = domid & 0xffff;
}

export function mapStatus(words: Int32Array, address: number): number {
  return (words[(address >>> 2) + MAP_DOM_STATUS] as number) >> 16;
}

/** The handle, 0 … 2^32 - 1; valid after status okay. */
export function mapHandle(words: Int32Array, address: number): number {
  return (words[(address >>> 2) + MAP_HANDLE] as number) >>> 0;
}

/** Machine address of the mapped page (low word); valid after status okay. */
export function mapDeviceBusAddress(words: Int32Array, address: number): number {
  return (words[(address >>> 2) + MAP_DEV_BUS_ADDRESS] as number) >>> 0;
}

/** struct gnttab_unmap_grant_ref; offsets in 32-bit words. */
export const UNMAP_BYTES = 24;
export const UNMAP_HOST_ADDRESS = 0;
export const UNMAP_DEV_BUS_ADDRESS = 2;
export const UNMAP_HANDLE = 4;
/** `status` s16, then padding. */
export const UNMAP_STATUS = 5;

/** A zero address leaves that part of the mapping alone. */
export function writeUnmapGrantRef(
  words: Int32Array,
  address: number,
  hostAddress: number,
  deviceBusAddress: number,
  handle: number,
): void {
  const base = address >>> 2;
  words[base + UNMAP_HOST_ADDRESS] = hostAddress;
  words[base + UNMAP_HOST_ADDRESS + 1] = 0;
  words[base + UNMAP_DEV_BUS_ADDRESS] = deviceBusAddress;
  words[base + UNMAP_DEV_BUS_ADDRESS + 1] = 0;
  words[base + UNMAP_HANDLE] = handle;
  words[base + UNMAP_STATUS] = 0;
}

export function unmapStatus(words: Int32Array, address: number): number {
  return ((words[(address >>> 2) + UNMAP_STATUS] as number) << 16) >> 16;
}

/** struct gnttab_unmap_and_replace has the same shape, with `new_addr` in place of the device address. */
export const UNMAP_REPLACE_BYTES = UNMAP_BYTES;
