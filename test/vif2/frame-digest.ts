import { createHash } from 'node:crypto';

/** Digest of frames with their lengths, in order. */
export class FrameDigest {
  count = 0;
  private readonly hash = createHash('sha256');

  add(bytes: Uint8Array): void {
    this.hash.update(`${bytes.byteLength}\n`).update(bytes);
    this.count += 1;
  }

  /** How many frames there were, and their digest so far. */
  get sum(): readonly [number, string] {
    return [this.count, this.hash.copy().digest('hex')];
  }
}

export function digestOf(frames: Iterable<Uint8Array>): readonly [number, string] {
  const digest = new FrameDigest();
  for (const frame of frames) digest.add(frame);
  return digest.sum;
}
