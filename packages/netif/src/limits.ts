/**
 * Limits of the vif protocol (spec vif.md §2, §3).
 *
 * @packageDocumentation
 */

/** Longest packet, headers included. */
export const PACKET_BYTES_MAX = 65535;
/** Shortest first fragment: an Ethernet header. */
export const ETHERNET_HEADER_BYTES = 14;
/** Data slots every backend takes (`XEN_NETIF_NR_SLOTS_MIN`), and the most a frontend uses for one packet. */
export const DATA_SLOTS_MIN = 18;
/** Fragments behind the first request that are processed; more are dropped. */
export const FRAGMENTS_ACCEPTED = 18;
/** Fragments behind the first request that are still read; more disable the device. */
export const FRAGMENTS_READ = 20;
/** Data slots of an RX packet a frontend reassembles. */
export const RX_DATA_SLOTS_MAX = 19;

/** RX slots of a packet: one per page of data begun, one per extra info. */
export function rxSlotsNeeded(byteLength: number, extras: number): number {
  return ((byteLength + 4095) >>> 12) + extras;
}
