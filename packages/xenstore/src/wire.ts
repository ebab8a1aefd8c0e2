/**
 * The xenstore message: a 16-byte header and up to 4096 bytes of payload (`public/io/xs_wire.h`).
 *
 * Payloads are handled as *byte strings*: JavaScript strings whose characters 0 … 255 are the bytes. They compare,
 * split and serve as map keys at the engine's full speed, and take one byte a character.
 *
 * @packageDocumentation
 */

/** Message types by their protocol names. */
export const MESSAGE_TYPE = {
  CONTROL: 0,
  DIRECTORY: 1,
  READ: 2,
  GET_PERMS: 3,
  WATCH: 4,
  UNWATCH: 5,
  TRANSACTION_START: 6,
  TRANSACTION_END: 7,
  INTRODUCE: 8,
  RELEASE: 9,
  GET_DOMAIN_PATH: 10,
  WRITE: 11,
  MKDIR: 12,
  RM: 13,
  SET_PERMS: 14,
  WATCH_EVENT: 15,
  ERROR: 16,
  IS_DOMAIN_INTRODUCED: 17,
  RESUME: 18,
  SET_TARGET: 19,
  RESET_WATCHES: 21,
  DIRECTORY_PART: 22,
  GET_FEATURE: 23,
  SET_FEATURE: 24,
  GET_QUOTA: 25,
  SET_QUOTA: 26,
} as const;

export type MessageName = keyof typeof MESSAGE_TYPE;
export type MessageType = (typeof MESSAGE_TYPE)[MessageName];

/** Bytes of the header: type, request id, transaction id, payload length, each a little-endian u32. */
export const HEADER_SIZE = 16;
/** Most payload bytes of a message, in either direction (`XENSTORE_PAYLOAD_MAX`). */
export const PAYLOAD_MAX = 4096;
/** Longest absolute path (`XENSTORE_ABS_PATH_MAX`). */
export const ABSOLUTE_PATH_MAX = 3072;
/** Longest relative path (`XENSTORE_REL_PATH_MAX`). */
export const RELATIVE_PATH_MAX = 2048;

export interface Message {
  readonly type: number;
  /** Chosen by the client and echoed; 0 in events. */
  readonly requestId: number;
  /** 0 outside transactions and in events. */
  readonly transactionId: number;
  /** The payload as a byte string. */
  readonly payload: string;
}

/** Bytes a message takes on the wire. */
export function messageSize(message: Message): number {
  return HEADER_SIZE + message.payload.length;
}

/** Writes a message at `offset` and returns the offset behind it. The payload's length is the caller's to check. */
export function writeMessage(target: Buffer, offset: number, message: Message): number {
  const { payload } = message;
  target.writeUInt32LE(message.type, offset);
  target.writeUInt32LE(message.requestId, offset + 4);
  target.writeUInt32LE(message.transactionId, offset + 8);
  target.writeUInt32LE(payload.length, offset + 12);
  target.write(payload, offset + HEADER_SIZE, 'latin1');
  return offset + HEADER_SIZE + payload.length;
}

/** The bytes of one message. */
export function encodeMessage(message: Message): Buffer {
  const bytes = Buffer.allocUnsafe(messageSize(message));
  writeMessage(bytes, 0, message);
  return bytes;
}

/** The bytes of several messages, back to back. */
export function encodeMessages(messages: readonly Message[]): Buffer {
  let size = 0;
  for (const message of messages) size += messageSize(message);
  const bytes = Buffer.allocUnsafe(size);
  let offset = 0;
  for (const message of messages) offset = writeMessage(bytes, offset, message);
  return bytes;
}

/** Bytes as a byte string. */
export function byteString(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

/** The bytes of a byte string. */
export function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'latin1'));
}

/** Text as the byte string of its UTF-8 encoding. */
export function utf8ByteString(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** The text whose UTF-8 encoding a byte string holds. */
export function utf8Text(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8');
}
