/** Capture files: pcap and pcapng are read, pcapng is written. */
export { type Capture, type CapturedFrame, FRAME_BYTES_MAX, FRAME_BYTES_MIN } from './capture';
export { CaptureError } from './capture-error';
export { type BlockOutput, type PcapngPacket, PcapngWriter } from './pcapng-writer';
export { parseCapture, readCapture } from './read-capture';
