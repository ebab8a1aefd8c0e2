import { fileURLToPath } from 'node:url';
import { readCapture } from '@netchannel2/bridge';

/** Frames of two Linux hosts that talk to each other, in the order they were recorded. */
export const CONVERSATION = readCapture(
  fileURLToPath(new URL('../../examples/captures/linux-veth.pcap', import.meta.url)),
).frames.map(({ bytes }) => bytes);

/** Which of the two sent a frame. */
export const speakerOf = (frame: Uint8Array): 0 | 1 => (frame[11] === CONVERSATION[0]?.[11] ? 0 : 1);

const read16 = (bytes: Uint8Array, at: number): number => (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0);

/** Bytes of Ethernet, IPv4 and TCP headers, 0 of what is no whole TCP packet over IPv4. */
export function tcpHeaderLength(frame: Uint8Array): number {
  if (read16(frame, 12) !== 0x0800 || frame[23] !== 6 || (read16(frame, 20) & 0x3fff) !== 0) return 0;
  const tcp = 14 + ((frame[14] ?? 0) & 0xf) * 4;
  return tcp + ((frame[tcp + 12] ?? 0) >> 4) * 4;
}

/** What a sender must keep in order: one conversation of two ports, or all else between two hosts. */
export function flowOf(frame: Uint8Array): string {
  const type = read16(frame, 12);
  if (type !== 0x0800) return `type ${type}`;
  const hosts = Buffer.from(frame.subarray(26, 34)).toString('hex');
  const hasPorts = (frame[23] === 6 || frame[23] === 17) && (read16(frame, 20) & 0x3fff) === 0;
  return hasPorts ? `${hosts} ${frame[23]} ${read16(frame, 34)} ${read16(frame, 36)}` : hosts;
}
