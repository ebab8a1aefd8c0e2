/**
 * Message types and the header all messages share (`netchannel2.h`, spec `vif2.md` §2.2, §3).
 *
 * Codecs of this package take `(words, at)`: an `Int32Array` and the word index of the message's first word.
 *
 * @packageDocumentation
 */

export const MessageType = {
  setMaxPackets: 1,
  packet: 2,
  finishPacket: 3,
  setOffload: 4,
  setMaxFragmentsPerPacket: 5,
  bypassFrontend: 9,
  bypassBackend: 10,
  bypassFrontendReady: 11,
  bypassReady: 12,
  bypassDisable: 13,
  bypassDisabled: 14,
  bypassDetach: 15,
  bypassDetached: 16,
  suggestBypass: 17,
  pad: 255,
} as const;
export type MessageType = (typeof MessageType)[keyof typeof MessageType];

/** Smallest message, and the unit all sizes are multiples of. */
export const MESSAGE_ALIGNMENT = 8;

/** The header word: type, flags, size of the whole message in bytes. */
export function messageHeader(type: number, flags: number, size: number): number {
  return type | (flags << 8) | (size << 16);
}

export function messageType(header: number): number {
  return header & 0xff;
}

export function messageFlags(header: number): number {
  return (header >>> 8) & 0xff;
}

/** Bytes, header and padding included. */
export function messageSize(header: number): number {
  return header >>> 16;
}

/** Smallest legal size of each assigned type; 0 for types nobody may send. */
const SMALLEST = new Uint8Array(256);
SMALLEST[MessageType.setMaxPackets] = 8;
SMALLEST[MessageType.packet] = 24;
SMALLEST[MessageType.finishPacket] = 8;
SMALLEST[MessageType.setOffload] = 8;
SMALLEST[MessageType.setMaxFragmentsPerPacket] = 8;
SMALLEST[MessageType.bypassFrontend] = 40;
SMALLEST[MessageType.bypassBackend] = 40;
SMALLEST[MessageType.bypassFrontendReady] = 8;
SMALLEST[MessageType.bypassReady] = 8;
SMALLEST[MessageType.bypassDisable] = 8;
SMALLEST[MessageType.bypassDisabled] = 8;
SMALLEST[MessageType.bypassDetach] = 8;
SMALLEST[MessageType.bypassDetached] = 8;
SMALLEST[MessageType.suggestBypass] = 16;
SMALLEST[MessageType.pad] = 8;

/** Smallest size a message of `type` may have, 0 where the type is unassigned. Larger ones are legal, the surplus ignored. */
export function smallestMessage(type: number): number {
  return SMALLEST[type] as number;
}
