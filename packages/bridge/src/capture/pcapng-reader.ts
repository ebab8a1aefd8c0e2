/** Reads pcapng: sections of blocks; only interfaces and packets matter here, other blocks are passed over. */
import { type CapturedFrame, LINKTYPE_ETHERNET } from './capture';
import type { CaptureBytes } from './capture-bytes';
import {
  BLOCK_ENHANCED_PACKET,
  BLOCK_INTERFACE_DESCRIPTION,
  BLOCK_OVERHEAD,
  BLOCK_SECTION_HEADER,
  BLOCK_SIMPLE_PACKET,
  BYTE_ORDER_MAGIC,
  OPTION_END,
  OPTION_IF_TSRESOL,
  padded,
} from './pcapng-blocks';

interface CaptureInterface {
  /** 0 means without limit. */
  readonly snapLength: number;
  /** Nanoseconds of `ticks` units of its clock. */
  readonly nanoseconds: (ticks: bigint) => bigint;
}

/** Whether a file begins as pcapng. The type of the first block reads the same in both byte orders. */
export function isPcapng(source: CaptureBytes): boolean {
  return source.uint32(0) === BLOCK_SECTION_HEADER;
}

/** @throws CaptureError where the file is damaged or holds what cannot be replayed. */
export function readPcapng(source: CaptureBytes): CapturedFrame[] {
  const frames: CapturedFrame[] = [];
  let interfaces: CaptureInterface[] = [];
  let offset = 0;
  while (offset < source.length) {
    source.require(offset, BLOCK_OVERHEAD, 'the header of a block');
    const type = source.uint32(offset);
    if (type === BLOCK_SECTION_HEADER) {
      setByteOrder(source, offset);
      interfaces = [];
    }
    const length = blockLength(source, offset);
    const body = offset + 8;
    const end = offset + length - 4;
    if (type === BLOCK_INTERFACE_DESCRIPTION) interfaces.push(readInterface(source, body, end));
    else if (type === BLOCK_ENHANCED_PACKET)
      frames.push(readEnhancedPacket(source, body, end, interfaces, frames.length + 1));
    else if (type === BLOCK_SIMPLE_PACKET)
      frames.push(readSimplePacket(source, body, end, interfaces, frames.length + 1));
    offset += length;
  }
  return frames;
}

function setByteOrder(source: CaptureBytes, offset: number): void {
  for (const littleEndian of [true, false]) {
    source.littleEndian = littleEndian;
    if (source.uint32(offset + 8) === BYTE_ORDER_MAGIC) return;
  }
  source.fail(offset + 8, 'the section has no byte-order mark: the file is damaged');
}

function blockLength(source: CaptureBytes, offset: number): number {
  const length = source.uint32(offset + 4);
  if (length < BLOCK_OVERHEAD || length % 4 !== 0)
    source.fail(offset + 4, `a block claims ${length} bytes: the file is damaged`);
  source.require(offset, length, 'a block');
  if (source.uint32(offset + length - 4) !== length)
    source.fail(offset + length - 4, 'the two lengths of a block differ: the file is damaged');
  return length;
}

function readInterface(source: CaptureBytes, body: number, end: number): CaptureInterface {
  requireFields(source, body, end, 8);
  const linkType = source.uint16(body);
  if (linkType !== LINKTYPE_ETHERNET)
    source.fail(body, `link type ${linkType} is not Ethernet (${LINKTYPE_ETHERNET})`);
  let resolution = 6;
  let option = body + 8;
  while (option + 4 <= end) {
    const code = source.uint16(option);
    const length = source.uint16(option + 2);
    if (code === OPTION_END) break;
    if (option + 4 + length > end) source.fail(option, 'an option reaches beyond its block');
    if (code === OPTION_IF_TSRESOL && length === 1) resolution = source.bytes[option + 4] ?? 6;
    option += 4 + padded(length);
  }
  // The top bit says whether the rest is a power of two or of ten.
  const ticksPerSecond =
    (resolution & 0x80) !== 0 ? 1n << BigInt(resolution & 0x7f) : 10n ** BigInt(resolution);
  return {
    snapLength: source.uint32(body + 4),
    nanoseconds: (ticks) => (ticks * 1_000_000_000n) / ticksPerSecond,
  };
}

function readEnhancedPacket(
  source: CaptureBytes,
  body: number,
  end: number,
  interfaces: readonly CaptureInterface[],
  number: number,
): CapturedFrame {
  requireFields(source, body, end, 20);
  const from = interfaces[source.uint32(body)];
  if (from === undefined)
    return source.fail(
      body,
      `frame ${number} names interface ${source.uint32(body)}, which the section lacks`,
    );
  const ticks = (BigInt(source.uint32(body + 4)) << 32n) | BigInt(source.uint32(body + 8));
  const length = source.uint32(body + 12);
  if (body + 20 + length > end) source.fail(body + 12, `frame ${number} reaches beyond its block`);
  return source.frame(number, body + 20, length, source.uint32(body + 16), from.nanoseconds(ticks));
}

function readSimplePacket(
  source: CaptureBytes,
  body: number,
  end: number,
  interfaces: readonly CaptureInterface[],
  number: number,
): CapturedFrame {
  requireFields(source, body, end, 4);
  const from = interfaces[0];
  if (from === undefined) return source.fail(body, `frame ${number} comes before any interface`);
  const originalLength = source.uint32(body);
  const length = Math.min(originalLength, from.snapLength === 0 ? originalLength : from.snapLength);
  if (body + 4 + length > end) source.fail(body, `frame ${number} reaches beyond its block`);
  return source.frame(number, body + 4, length, originalLength, 0n);
}

function requireFields(source: CaptureBytes, body: number, end: number, length: number): void {
  if (end - body < length) source.fail(body, 'a block is too short for its fields: the file is damaged');
}
