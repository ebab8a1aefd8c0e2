/**
 * SET_MAX_PACKETS and FINISH_PACKET: the credit of unfinished packets (spec `vif2.md` §3.1, §4.3).
 *
 * @packageDocumentation
 */
import { MessageType, messageFlags, messageHeader } from './message-header';

export const SET_MAX_PACKETS_SIZE = 8;
export const FINISH_PACKET_SIZE = 8;

/** FINISH flag: the receiver could not get the packet's bytes. Informational. */
export const FINISH_NOT_OBTAINED = 1;

/** Highest credit a sender keeps books for; larger advertised values are clamped to it. */
export const LARGEST_MAX_PACKETS = 4096;

/** @param maxPackets unfinished packets the peer may have, ≥ 1. */
export function writeSetMaxPackets(words: Int32Array, at: number, maxPackets: number): void {
  words[at] = messageHeader(MessageType.setMaxPackets, 0, SET_MAX_PACKETS_SIZE);
  words[at + 1] = maxPackets | 0;
}

/** The advertised credit, unsigned, not yet clamped. */
export function setMaxPacketsValue(words: Int32Array, at: number): number {
  return (words[at + 1] as number) >>> 0;
}

/** @param id as it came in the PACKET, any 32 bits. */
export function writeFinishPacket(words: Int32Array, at: number, id: number, flags: number): void {
  words[at] = messageHeader(MessageType.finishPacket, flags, FINISH_PACKET_SIZE);
  words[at + 1] = id | 0;
}

/** The id as a signed 32-bit number. */
export function finishPacketId(words: Int32Array, at: number): number {
  return words[at + 1] as number;
}

/** @param header the message's first word. */
export function finishPacketNotObtained(header: number): boolean {
  return (messageFlags(header) & FINISH_NOT_OBTAINED) !== 0;
}

/**
 * Ring bytes a receiver keeps free of PACKETs so that it can always answer: one FINISH for each unfinished packet it
 * allows, one PAD, and its bypass answers.
 */
export function answerReserve(maxPackets: number): number {
  return 8 * maxPackets + 72;
}

/** The credit to advertise when the own producer ring has `ringBytes` bytes. */
export function advertisedMaxPackets(ringBytes: number): number {
  return Math.min(256, ringBytes >>> 5);
}
