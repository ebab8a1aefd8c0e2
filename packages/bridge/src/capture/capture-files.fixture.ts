/** Capture files built by hand from the formats' documents, apart from the code under test. */

export interface PcapOptions {
  readonly littleEndian?: boolean;
  readonly magic?: number;
  readonly version?: readonly [major: number, minor: number];
  readonly linkType?: number;
}

export interface PcapRecord {
  readonly bytes: Uint8Array;
  readonly seconds?: number;
  readonly fraction?: number;
  /** What the record's header claims, where that differs from the bytes. */
  readonly length?: number;
  readonly originalLength?: number;
}

export const MICROSECONDS = 0xa1b2c3d4;
export const NANOSECONDS = 0xa1b23c4d;

/** A classic capture file. */
export function pcapFile(records: readonly PcapRecord[], options: PcapOptions = {}): Uint8Array {
  const { littleEndian = true, magic = MICROSECONDS, version = [2, 4], linkType = 1 } = options;
  const size = records.reduce((sum, record) => sum + 16 + record.bytes.byteLength, 24);
  const file = new Uint8Array(size);
  const view = new DataView(file.buffer);
  view.setUint32(0, magic, littleEndian);
  view.setUint16(4, version[0], littleEndian);
  view.setUint16(6, version[1], littleEndian);
  view.setUint32(16, 262144, littleEndian);
  view.setUint32(20, linkType, littleEndian);
  let offset = 24;
  for (const { bytes, seconds = 0, fraction = 0, length, originalLength } of records) {
    view.setUint32(offset, seconds, littleEndian);
    view.setUint32(offset + 4, fraction, littleEndian);
    view.setUint32(offset + 8, length ?? bytes.byteLength, littleEndian);
    view.setUint32(offset + 12, originalLength ?? length ?? bytes.byteLength, littleEndian);
    file.set(bytes, offset + 16);
    offset += 16 + bytes.byteLength;
  }
  return file;
}

/** One pcapng block. @param body padded to four bytes here. @param length what the block claims, where that is wrong. */
export function block(type: number, body: Uint8Array, littleEndian = true, length?: number): Uint8Array {
  const padded = (body.byteLength + 3) & ~3;
  const bytes = new Uint8Array(12 + padded);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, littleEndian);
  view.setUint32(4, length ?? bytes.byteLength, littleEndian);
  bytes.set(body, 8);
  view.setUint32(8 + padded, length ?? bytes.byteLength, littleEndian);
  return bytes;
}

export function words(values: readonly number[], littleEndian = true): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  const view = new DataView(bytes.buffer);
  for (const [index, value] of values.entries()) view.setUint32(4 * index, value, littleEndian);
  return bytes;
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.byteLength;
  }
  return bytes;
}

export const section = (littleEndian = true): Uint8Array =>
  block(
    0x0a0d0d0a,
    // Byte-order magic, version 1.0, length unknown.
    concat(
      words([0x1a2b3c4d], littleEndian),
      littleEndian ? Uint8Array.of(1, 0, 0, 0) : Uint8Array.of(0, 1, 0, 0),
      words([0xffffffff, 0xffffffff]),
    ),
    littleEndian,
  );

/** @param resolution the value of `if_tsresol`, left out when undefined. */
export function interfaceBlock(
  options: { resolution?: number; linkType?: number; snapLength?: number; littleEndian?: boolean } = {},
): Uint8Array {
  const { resolution, linkType = 1, snapLength = 0, littleEndian = true } = options;
  const link = littleEndian ? Uint8Array.of(linkType, 0, 0, 0) : Uint8Array.of(0, linkType, 0, 0);
  const option = littleEndian ? [9, 0, 1, 0] : [0, 9, 0, 1];
  const tail =
    resolution === undefined
      ? new Uint8Array(0)
      : concat(Uint8Array.from(option), Uint8Array.of(resolution, 0, 0, 0), words([0]));
  return block(1, concat(link, words([snapLength], littleEndian), tail), littleEndian);
}

export function packetBlock(
  bytes: Uint8Array,
  options: {
    interface?: number;
    ticks?: bigint;
    length?: number;
    originalLength?: number;
    littleEndian?: boolean;
  } = {},
): Uint8Array {
  const { ticks = 0n, littleEndian = true, length = bytes.byteLength } = options;
  return block(
    6,
    concat(
      words(
        [
          options.interface ?? 0,
          Number(ticks >> 32n),
          Number(ticks & 0xffffffffn),
          length,
          options.originalLength ?? length,
        ],
        littleEndian,
      ),
      bytes,
    ),
    littleEndian,
  );
}

/** A frame of that many bytes, of which no two are alike. */
export const frameOf = (length: number, seed = 0): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => (index * 31 + seed * 17 + 2) & 0xfe);
