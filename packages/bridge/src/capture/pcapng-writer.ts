/** Writes pcapng: one section, interfaces, enhanced packet blocks; little-endian, nanoseconds. */

import type { FrameView } from '@netchannel2/xen';
import type { CaptureDirection, CaptureSink } from '../capture-sink';
import { LINKTYPE_ETHERNET } from './capture';
import {
  BLOCK_ENHANCED_PACKET,
  BLOCK_INTERFACE_DESCRIPTION,
  BLOCK_OVERHEAD,
  BLOCK_SECTION_HEADER,
  BYTE_ORDER_MAGIC,
  EPB_INBOUND,
  EPB_OUTBOUND,
  OPTION_END,
  OPTION_EPB_FLAGS,
  OPTION_IF_DESCRIPTION,
  OPTION_IF_NAME,
  OPTION_IF_TSRESOL,
  OPTION_SHB_USERAPPL,
  padded,
} from './pcapng-blocks';

/** Timestamps count 10⁻⁹ s. */
const RESOLUTION_NANOSECONDS = 9;

/** Where the file's bytes go, block by block. */
export type BlockOutput = (block: Uint8Array) => void;

export interface PcapngPacket {
  /** Number that `addInterface` answered. */
  readonly interface: number;
  /** Nanoseconds since 1970. */
  readonly timestamp: bigint;
  readonly direction: CaptureDirection;
  readonly frame: FrameView | Uint8Array;
}

/** A pcapng file, written as frames come. */
export class PcapngWriter {
  private interfaces = 0;

  /** Writes the section header at once. */
  constructor(
    private readonly output: BlockOutput,
    application: string,
  ) {
    const options = encodeOptions([[OPTION_SHB_USERAPPL, text(application)]]);
    const block = startBlock(BLOCK_SECTION_HEADER, 16 + options.byteLength);
    block.view.setUint32(8, BYTE_ORDER_MAGIC, true);
    block.view.setUint16(12, 1, true);
    block.view.setUint16(14, 0, true);
    // The section's length is not known while it is written.
    block.view.setBigInt64(16, -1n, true);
    block.bytes.set(options, 24);
    output(block.bytes);
  }

  /** Adds an Ethernet interface, without a limit to the length of frames. @returns its number. */
  addInterface(name: string, description: string): number {
    const options = encodeOptions([
      [OPTION_IF_NAME, text(name)],
      [OPTION_IF_DESCRIPTION, text(description)],
      [OPTION_IF_TSRESOL, Uint8Array.of(RESOLUTION_NANOSECONDS)],
    ]);
    const block = startBlock(BLOCK_INTERFACE_DESCRIPTION, 8 + options.byteLength);
    block.view.setUint16(8, LINKTYPE_ETHERNET, true);
    block.view.setUint32(12, 0, true);
    block.bytes.set(options, 16);
    this.output(block.bytes);
    this.interfaces += 1;
    return this.interfaces - 1;
  }

  /** @throws RangeError when the interface was not added before. */
  write(packet: PcapngPacket): void {
    if (!(packet.interface >= 0 && packet.interface < this.interfaces))
      throw new RangeError(`interface ${packet.interface} was not added to the capture`);
    const length = packet.frame.byteLength;
    const flags = new Uint8Array(4);
    flags[0] = packet.direction === 'in' ? EPB_INBOUND : EPB_OUTBOUND;
    const options = encodeOptions([[OPTION_EPB_FLAGS, flags]]);
    const block = startBlock(BLOCK_ENHANCED_PACKET, 20 + padded(length) + options.byteLength);
    block.view.setUint32(8, packet.interface, true);
    block.view.setUint32(12, Number(packet.timestamp >> 32n), true);
    block.view.setUint32(16, Number(packet.timestamp & 0xffffffffn), true);
    block.view.setUint32(20, length, true);
    block.view.setUint32(24, length, true);
    if (packet.frame instanceof Uint8Array) block.bytes.set(packet.frame, 28);
    else packet.frame.copyTo(block.bytes, 28, 0, length);
    block.bytes.set(options, 28 + padded(length));
    this.output(block.bytes);
  }

  /**
   * A sink that writes what it is given to one interface.
   *
   * @param now nanoseconds since 1970, asked for each frame.
   */
  sink(interfaceNumber: number, now: () => bigint): CaptureSink {
    return {
      record: (frame, direction) =>
        this.write({ interface: interfaceNumber, timestamp: now(), direction, frame }),
    };
  }
}

function startBlock(type: number, bodyLength: number): { bytes: Uint8Array; view: DataView } {
  const length = BLOCK_OVERHEAD + bodyLength;
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  view.setUint32(4, length, true);
  view.setUint32(length - 4, length, true);
  return { bytes, view };
}

function encodeOptions(options: readonly (readonly [code: number, value: Uint8Array])[]): Uint8Array {
  const length = options.reduce((sum, [, value]) => sum + 4 + padded(value.byteLength), 4);
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  let offset = 0;
  for (const [code, value] of options) {
    view.setUint16(offset, code, true);
    view.setUint16(offset + 2, value.byteLength, true);
    bytes.set(value, offset + 4);
    offset += 4 + padded(value.byteLength);
  }
  view.setUint16(offset, OPTION_END, true);
  return bytes;
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
