import { type CapturedFrame, FRAME_BYTES_MAX, FRAME_BYTES_MIN } from './capture';
import { CaptureError } from './capture-error';

/** The bytes of a capture file in its byte order, with errors that name file and offset. */
export class CaptureBytes {
  private readonly view: DataView;
  /** Byte order of the numbers read from here on. */
  littleEndian = true;

  constructor(
    readonly file: string,
    readonly bytes: Uint8Array,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get length(): number {
    return this.bytes.byteLength;
  }

  uint16(offset: number): number {
    return this.view.getUint16(offset, this.littleEndian);
  }

  uint32(offset: number): number {
    return this.view.getUint32(offset, this.littleEndian);
  }

  fail(offset: number, reason: string): never {
    throw new CaptureError(this.file, reason, offset);
  }

  /** `length` bytes from `offset` must be there. */
  require(offset: number, length: number, what: string): void {
    if (offset + length > this.length)
      this.fail(
        offset,
        `the file ends inside ${what} (${this.length - offset} of ${length} bytes are there)`,
      );
  }

  /**
   * One frame, refused unless it can be replayed whole.
   *
   * @param number the frame's place in the file, from 1 as Wireshark counts.
   * @param originalLength its length on the wire.
   */
  frame(
    number: number,
    offset: number,
    length: number,
    originalLength: number,
    timestamp: bigint,
  ): CapturedFrame {
    if (originalLength > length)
      this.fail(
        offset,
        `frame ${number} was cut to ${length} of ${originalLength} bytes; record whole frames (tcpdump -s 0)`,
      );
    if (length > FRAME_BYTES_MAX)
      this.fail(
        offset,
        `frame ${number} has ${length} bytes; a virtual interface carries ${FRAME_BYTES_MAX} at most`,
      );
    if (length < FRAME_BYTES_MIN)
      this.fail(
        offset,
        `frame ${number} has ${length} bytes; an Ethernet header alone has ${FRAME_BYTES_MIN}`,
      );
    return { bytes: this.bytes.subarray(offset, offset + length), timestamp };
  }
}
