import { type FramePool, type LeasedFrame, sendBurst } from '@netchannel2/frames';
import { type DeferredWork, type Domain, type FramePort, PAGE_SIZE } from '@netchannel2/xen';
import type { Subscription } from 'rxjs';

/**
 * Frames under way at most where they cross a bridge, which drops what its next port has no room for, and no frame may be dropped here.
 * With the FINISHes of one window unread and another sent, two fill the half of a receiver's credit that one sender's grants may
 * take: with more some would be copied where all are to be handed on.
 */
const WINDOW = 64;
/** Pages of frames under way there at most: a backend that copies frames in and out has to hold all of them in its pool. */
const WINDOW_PAGES = 128;
/** Frames that take turns, so that neither pages nor cache lines are always the same. */
const FRAMES = 32;
/** Without an arrival for so long (milliseconds) something is broken. */
const STALL_TIME = 2_000;

export interface TrafficEnds {
  readonly sender: { readonly domain: Domain; readonly port: FramePort; readonly pool: FramePool };
  readonly receiver: FramePort;
  /** A bridge is between the two; otherwise the rings alone bound what is under way. */
  readonly bridged: boolean;
}

/** Frames that lie in pages of their sender, sent as fast as there is room for them. */
export class Traffic {
  private readonly sending: DeferredWork = { deferred: false, run: () => this.send() };
  private readonly frames: LeasedFrame[] = [];
  private readonly subscriptions: Subscription[];
  private readonly window: number;
  private sent = 0;
  private received = 0;
  private total = 0;
  private finished: (() => void) | undefined;

  constructor(
    private readonly ends: TrafficEnds,
    bytes: Uint8Array,
  ) {
    const { sender, receiver } = ends;
    const pages = Math.ceil(bytes.byteLength / PAGE_SIZE);
    this.window = ends.bridged
      ? Math.min(WINDOW, Math.floor(WINDOW_PAGES / pages) & ~1)
      : Number.POSITIVE_INFINITY;
    for (let index = 0; index < FRAMES; index += 1) {
      const frame = sender.pool.frameFrom(bytes);
      if (frame === undefined) throw new Error('the pool of the comparison has too few pages');
      this.frames.push(frame);
    }
    this.subscriptions = [
      receiver.frames$.subscribe((frame) => {
        if (frame.byteLength === bytes.byteLength) this.arrived();
      }),
      sender.port.writable$.subscribe(() => sender.domain.defer(this.sending)),
    ];
  }

  /** Sends frames and waits until all have arrived. @throws Error when they do not. */
  async run(count: number): Promise<void> {
    this.total += count;
    await new Promise<void>((resolve, reject) => {
      let progress = -1;
      const watchdog = setInterval(() => {
        if (this.received === progress) {
          clearInterval(watchdog);
          reject(
            new Error(`${this.sent - this.received} frames from ${this.ends.sender.port.name} were lost`),
          );
        }
        progress = this.received;
      }, STALL_TIME);
      this.finished = () => {
        clearInterval(watchdog);
        resolve();
      };
      this.ends.sender.domain.defer(this.sending);
    });
  }

  stop(): void {
    for (const subscription of this.subscriptions) subscription.unsubscribe();
    for (const frame of this.frames) frame.release();
  }

  /** As far as room and window allow; runs in the sending domain. */
  private send(): void {
    const { port } = this.ends.sender;
    const allowed = Math.min(this.total, this.received + this.window);
    while (this.sent < allowed) {
      const start = this.sent & (FRAMES - 1);
      const end = Math.min(FRAMES, start + allowed - this.sent);
      const reached = sendBurst(port, this.frames, start, end);
      this.sent += reached - start;
      if (reached < end) return;
    }
  }

  private arrived(): void {
    this.received += 1;
    if (this.received === this.total) this.finished?.();
    else if (this.sent - this.received === this.window / 2) this.ends.sender.domain.defer(this.sending);
  }
}
