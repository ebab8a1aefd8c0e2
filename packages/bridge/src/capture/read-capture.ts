import { readFileSync } from 'node:fs';
import type { Capture } from './capture';
import { CaptureBytes } from './capture-bytes';
import { CaptureError } from './capture-error';
import { isPcap, readPcap } from './pcap-reader';
import { isPcapng, readPcapng } from './pcapng-reader';

/**
 * Reads a capture of Ethernet frames: pcap (both byte orders, micro- and nanoseconds) or pcapng.
 *
 * @throws CaptureError when the file is missing, damaged, empty, or holds what a virtual interface cannot carry.
 */
export function readCapture(file: string): Capture {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    throw new CaptureError(file, unreadable(error));
  }
  return parseCapture(file, bytes);
}

/** {@link readCapture} for bytes that are there already. @param file named in errors. */
export function parseCapture(file: string, bytes: Uint8Array): Capture {
  const source = new CaptureBytes(file, bytes);
  if (source.length === 0) throw new CaptureError(file, 'the file is empty');
  source.require(0, 12, 'the file header');
  const format = isPcapng(source) ? 'pcapng' : isPcap(source) ? 'pcap' : undefined;
  if (format === undefined)
    return source.fail(0, 'this is neither a pcap nor a pcapng file; record one with tcpdump -w');
  const frames = format === 'pcapng' ? readPcapng(source) : readPcap(source);
  if (frames.length === 0) throw new CaptureError(file, 'the capture holds no frames');
  const byteLength = frames.reduce((sum, frame) => sum + frame.bytes.byteLength, 0);
  return { file, format, frames, byteLength };
}

function unreadable(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT') return 'there is no such file';
  if (code === 'EISDIR') return 'this is a directory; name a capture file';
  if (code === 'EACCES') return 'the file may not be read; check its permissions';
  return `the file cannot be read: ${error instanceof Error ? error.message : String(error)}`;
}
