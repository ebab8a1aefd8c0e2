import { type FramePool, type LeasedFrame, sendBurst } from '@netchannel2/frames';
import type { DeferredWork, Domain, Frame, FramePort } from '@netchannel2/xen';
import type { Subscription } from 'rxjs';

/** Frames that take turns, so that neither pages nor cache lines are always the same. */
const FRAMES = 32;

/** A sender that always has something to send, in its domain's own context, as far as the device has room. */
export class Sender implements DeferredWork {
  deferred = false;
  private readonly frames: LeasedFrame[] = [];
  private readonly writable: Subscription;
  private next = 0;
  private sent = 0;
  private allowed = 0;

  /** @throws Error when the pool cannot hold the frames. */
  constructor(
    private readonly domain: Domain,
    private readonly port: FramePort,
    pool: FramePool,
    bytes: Uint8Array,
  ) {
    for (let index = 0; index < FRAMES; index += 1) {
      const frame = pool.frameFrom(bytes);
      if (frame === undefined) throw new Error(`a pool of the benchmark is too small for ${FRAMES} frames`);
      this.frames.push(frame);
    }
    this.writable = port.writable$.subscribe(() => this.domain.defer(this));
  }

  /** Lets the sender send until it has sent `total` frames since it was made. */
  allow(total: number): void {
    this.allowed = total;
    this.domain.defer(this);
  }

  run(): void {
    const { port, frames } = this;
    while (this.sent < this.allowed) {
      const start = this.next;
      const end = Math.min(FRAMES, start + this.allowed - this.sent);
      const reached = sendBurst(port, frames, start, end);
      this.next = reached & (FRAMES - 1);
      this.sent += reached - start;
      if (reached < end) return;
    }
  }

  stop(): void {
    this.writable.unsubscribe();
    for (const frame of this.frames) frame.release();
  }
}

/** A subscriber that looks at each frame, and tells when enough have come. */
export class Receiver {
  private received = 0;
  private wanted = 0;
  private reached: (() => void) | undefined;
  private readonly subscription: Subscription;

  /**
   * @param look called for each frame with how many came so far.
   */
  constructor(port: FramePort, frameBytes: number, look?: (frame: Frame, received: number) => void) {
    this.subscription = port.frames$.subscribe((frame) => {
      if (frame.byteLength !== frameBytes) throw new Error(`a frame of ${frame.byteLength} bytes arrived`);
      this.received += 1;
      if (look !== undefined) look(frame, this.received);
      if (this.received === this.wanted) this.reached?.();
    });
  }

  get count(): number {
    return this.received;
  }

  /** Resolves once `total` frames have come since the receiver was made. */
  until(total: number): Promise<void> {
    return new Promise((resolve) => {
      this.wanted = total;
      this.reached = resolve;
      if (this.received >= total) resolve();
    });
  }

  stop(): void {
    this.subscription.unsubscribe();
  }
}

/** An Ethernet frame of an experimental type (0x88b5) between two hosts; the rest is filled with a pattern. */
export function benchFrame(frameBytes: number, from: number, to: number): Uint8Array {
  const frame = new Uint8Array(frameBytes).fill(0x5a);
  frame.set([0x00, 0x16, 0x3e, 0x00, 0x00, to, 0x00, 0x16, 0x3e, 0x00, 0x00, from, 0x88, 0xb5]);
  return frame;
}
