/**
 * Says where what arrived differs from what was sent.
 *
 * @packageDocumentation
 */

/** The first difference between two frames, or `undefined` when they are the same. */
export function frameDifference(sent: Uint8Array, received: Uint8Array): string | undefined {
  const shorter = Math.min(sent.byteLength, received.byteLength);
  for (let offset = 0; offset < shorter; offset += 1) {
    if (sent[offset] !== received[offset]) {
      return `byte ${offset} of ${sent.byteLength} is ${hex(received[offset])}, was sent as ${hex(sent[offset])}`;
    }
  }
  if (sent.byteLength === received.byteLength) return undefined;
  return `has ${received.byteLength} bytes, was sent with ${sent.byteLength}`;
}

/**
 * Whether each frame sent arrived once, in order, byte for byte.
 *
 * @returns what is wrong first, naming the frame by its place in the sequence, or `undefined` when nothing is.
 */
export function sequenceDifference(
  sent: readonly Uint8Array[],
  received: readonly Uint8Array[],
): string | undefined {
  for (const [index, frame] of sent.entries()) {
    const arrived = received[index];
    if (arrived === undefined) return `frame ${index} of ${sent.length} never arrived`;
    const difference = frameDifference(frame, arrived);
    if (difference !== undefined) return `frame ${index} of ${sent.length}: ${difference}`;
  }
  const extra = received.length - sent.length;
  return extra > 0 ? `${extra} more frames arrived than the ${sent.length} sent` : undefined;
}

const hex = (byte: number | undefined): string => `0x${(byte ?? 0).toString(16).padStart(2, '0')}`;
