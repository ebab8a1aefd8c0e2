import { Buffer } from 'node:buffer';
import { FRAME_BYTES_MAX } from '@netchannel2/bridge';
import { frameDifference } from '@netchannel2/testing';
import type { FrameView } from '@netchannel2/xen';

import type { NumberedFrame } from './two-sides';

/** How far ahead and back a frame that is not the expected one is looked for. */
const SEARCH_FRAMES = 256;

/** Checks that the frames of one direction arrive once each, in order, byte for byte. */
export class Verifier {
  /** Frames that arrived, good or not. */
  received = 0;
  /** Frames that were lost, changed, out of place or not sent at all. */
  mismatches = 0;
  /** What was wrong first. */
  firstMismatch: string | undefined;
  private readonly expected: readonly Buffer[];
  private readonly scratch = Buffer.alloc(FRAME_BYTES_MAX + 1);
  private next = 0;
  private readonly total: number;

  /**
   * @param direction for messages: `guest 1 to guest 2`.
   * @param rounds how often the frames are sent.
   */
  constructor(
    private readonly direction: string,
    private readonly frames: readonly NumberedFrame[],
    rounds: number,
  ) {
    this.expected = frames.map(({ bytes }) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    this.total = frames.length * rounds;
  }

  /** As many frames arrived as were sent. */
  get complete(): boolean {
    return this.next >= this.total;
  }

  arrived(frame: FrameView): void {
    this.received += 1;
    const length = frame.byteLength;
    const copied = length <= this.scratch.byteLength ? frame.copyTo(this.scratch, 0) : -1;
    if (this.next < this.total && copied === length && this.isAt(this.next, length)) {
      this.next += 1;
      return;
    }
    this.misplaced(length);
  }

  /** No more frames come: those that are missing are mismatches. */
  finish(): void {
    const missing = this.total - this.next;
    if (missing <= 0) return;
    this.note(missing, `${this.describe(this.next)} never arrived`);
    this.next = this.total;
  }

  private isAt(index: number, length: number): boolean {
    const expected = this.expected[index % this.expected.length];
    return (
      expected !== undefined &&
      expected.byteLength === length &&
      expected.compare(this.scratch, 0, length) === 0
    );
  }

  private misplaced(length: number): void {
    const ahead = Math.min(this.total, this.next + SEARCH_FRAMES);
    for (let index = this.next + 1; index < ahead; index += 1) {
      if (!this.isAt(index, length)) continue;
      this.note(index - this.next, `${this.describe(this.next)} is missing before ${this.describe(index)}`);
      this.next = index + 1;
      return;
    }
    for (let index = this.next - 1; index >= Math.max(0, this.next - SEARCH_FRAMES); index -= 1) {
      if (!this.isAt(index, length)) continue;
      this.note(1, `${this.describe(index)} arrived again or too late`);
      return;
    }
    if (this.next >= this.total) {
      this.note(1, `a frame of ${length} bytes arrived after the last one that was sent`);
      return;
    }
    const expected = this.expected[this.next % this.expected.length] ?? Buffer.alloc(0);
    const difference = frameDifference(expected, this.scratch.subarray(0, length)) ?? 'differs';
    this.note(1, `${this.describe(this.next)}: ${difference}`);
    this.next += 1;
  }

  private describe(index: number): string {
    const frame = this.frames[index % this.frames.length];
    const round = Math.floor(index / this.frames.length) + 1;
    return `frame ${frame?.number} of the capture (${frame?.bytes.byteLength} bytes, round ${round}, ${this.direction})`;
  }

  private note(count: number, message: string): void {
    this.mismatches += count;
    this.firstMismatch ??= message;
  }
}
