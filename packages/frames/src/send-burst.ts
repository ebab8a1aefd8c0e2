import type { Frame, FramePort } from '@netchannel2/xen';

/**
 * Sends many frames in order, until the port has no room for the next: at once where the port knows how, or else one by one.
 *
 * @param start number of the first frame to send. @param end one more than that of the last.
 * @returns the number of the first frame that was not taken, `end` when all were; where it is less, `writable$` will emit.
 */
export function sendBurst(
  port: FramePort,
  frames: readonly (Frame | Uint8Array)[],
  start = 0,
  end = frames.length,
): number {
  return port.sendBurst?.(frames, start, end) ?? sendOneByOne(port, frames, start, end);
}

/** As {@link sendBurst}, whatever the port knows. */
export function sendOneByOne(
  port: Pick<FramePort, 'send'>,
  frames: readonly (Frame | Uint8Array)[],
  start: number,
  end: number,
): number {
  let index = start;
  while (index < end && port.send(frames[index] as Frame | Uint8Array)) index += 1;
  return index;
}
