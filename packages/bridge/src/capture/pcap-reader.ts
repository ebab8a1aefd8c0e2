/** Reads the classic capture format (`draft-ietf-opsawg-pcap`): a file header, then records. */
import { type CapturedFrame, LINKTYPE_ETHERNET } from './capture';
import type { CaptureBytes } from './capture-bytes';

const MAGIC_MICROSECONDS = 0xa1b2c3d4;
const MAGIC_NANOSECONDS = 0xa1b23c4d;
const FILE_HEADER_LENGTH = 24;
const RECORD_HEADER_LENGTH = 16;
/** No recorder cuts later than this; a longer record means that the file is damaged. */
const RECORD_BYTES_MAX = 0x40000;

/** Whether a file begins as a classic capture; sets the byte order. */
export function isPcap(source: CaptureBytes): boolean {
  for (const littleEndian of [true, false]) {
    source.littleEndian = littleEndian;
    const magic = source.uint32(0);
    if (magic === MAGIC_MICROSECONDS || magic === MAGIC_NANOSECONDS) return true;
  }
  return false;
}

/** @throws CaptureError where the file is damaged or holds what cannot be replayed. */
export function readPcap(source: CaptureBytes): CapturedFrame[] {
  source.require(0, FILE_HEADER_LENGTH, 'the file header');
  const fractionNanoseconds = source.uint32(0) === MAGIC_NANOSECONDS ? 1n : 1000n;
  const fractionsPerSecond = fractionNanoseconds === 1n ? 1_000_000_000 : 1_000_000;
  const major = source.uint16(4);
  const minor = source.uint16(6);
  if (major !== 2)
    source.fail(4, `capture format version ${major}.${minor} is not known; 2.4 is what tools write`);
  const linkType = source.uint32(20) & 0xffff;
  if (linkType !== LINKTYPE_ETHERNET)
    source.fail(20, `link type ${linkType} is not Ethernet (${LINKTYPE_ETHERNET})`);

  const frames: CapturedFrame[] = [];
  let offset = FILE_HEADER_LENGTH;
  while (offset < source.length) {
    const number = frames.length + 1;
    source.require(offset, RECORD_HEADER_LENGTH, `the header of frame ${number}`);
    const fraction = source.uint32(offset + 4);
    const length = source.uint32(offset + 8);
    const originalLength = source.uint32(offset + 12);
    if (fraction >= fractionsPerSecond)
      source.fail(offset + 4, `frame ${number} has a time fraction of ${fraction}: the file is damaged`);
    if (length > RECORD_BYTES_MAX || length > originalLength)
      source.fail(offset + 8, `frame ${number} claims ${length} bytes: the file is damaged`);
    const data = offset + RECORD_HEADER_LENGTH;
    source.require(data, length, `frame ${number}`);
    const timestamp = BigInt(source.uint32(offset)) * 1_000_000_000n + BigInt(fraction) * fractionNanoseconds;
    frames.push(source.frame(number, data, length, originalLength, timestamp));
    offset = data + length;
  }
  return frames;
}
