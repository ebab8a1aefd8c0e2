/**
 * SET_OFFLOAD and SET_MAX_FRAGMENTS_PER_PACKET: what the peer may send (spec `vif2.md` §3.1, §5).
 *
 * @packageDocumentation
 */
import { MessageType, messageHeader } from './message-header';

export const SET_OFFLOAD_SIZE = 8;
export const SET_MAX_FRAGMENTS_SIZE = 8;

/** Most fragments a sender of ours ever puts into one packet. */
export const LARGEST_FRAGMENT_COUNT = 18;

export function writeSetOffload(words: Int32Array, at: number, checksum: boolean, tcpv4: boolean): void {
  words[at] = messageHeader(MessageType.setOffload, 0, SET_OFFLOAD_SIZE);
  words[at + 1] = (checksum ? 1 : 0) | (tcpv4 ? 0x100 : 0);
}

/** The peer takes packets whose checksum is blank. */
export function setOffloadChecksum(words: Int32Array, at: number): boolean {
  return ((words[at + 1] as number) & 0xff) !== 0;
}

/** The peer takes TCP/IPv4 packets that still want segmentation. */
export function setOffloadTcpv4(words: Int32Array, at: number): boolean {
  return (((words[at + 1] as number) >>> 8) & 0xff) !== 0;
}

export function writeSetMaxFragments(words: Int32Array, at: number, maxFragments: number): void {
  words[at] = messageHeader(MessageType.setMaxFragmentsPerPacket, 0, SET_MAX_FRAGMENTS_SIZE);
  words[at + 1] = maxFragments | 0;
}

export function setMaxFragmentsValue(words: Int32Array, at: number): number {
  return (words[at + 1] as number) >>> 0;
}

/** The fragment limit a sender obeys: what the peer allows, our own cap, and what a message of R/4 bytes can hold. */
export function senderFragmentLimit(advertised: number, ringBytes: number): number {
  return Math.min(advertised, LARGEST_FRAGMENT_COUNT, Math.floor((ringBytes / 4 - 280) / 8));
}
