import { type DeferredWork, type Domain, type FramePort, PAGE_SIZE } from '@netchannel2/xen';
import type { Subscription } from 'rxjs';
import type { NumberedFrame } from './two-sides';
import type { Verifier } from './verifier';

/**
 * Pages that may be under way in one direction. A bridge drops what its next port has no room for, as any does, so the
 * sender keeps to a window smaller than the rings, as TCP would.
 */
const WINDOW_PAGES = 64;

const pagesOf = (byteLength: number): number => Math.ceil(byteLength / PAGE_SIZE);

/** A guest's end: its domain and its device. */
export interface ReplayEnd {
  readonly domain: Domain;
  readonly port: FramePort;
}

/** Sends one direction's frames in order, in the sender's own context, and has each arrival checked. */
export class Replayer implements DeferredWork {
  deferred = false;
  sent = 0;
  private next = 0;
  private acknowledged = 0;
  private pagesUnderWay = 0;
  private waiting = false;
  private readonly total: number;
  private readonly subscriptions: Subscription[] = [];

  constructor(
    private readonly from: ReplayEnd,
    private readonly frames: readonly NumberedFrame[],
    rounds: number,
    readonly verifier: Verifier,
    private readonly completed: () => void,
  ) {
    this.total = frames.length * rounds;
  }

  /** Begins; `to` is where the frames must arrive. */
  start(to: ReplayEnd): void {
    this.subscriptions.push(
      to.port.frames$.subscribe((frame) => {
        this.verifier.arrived(frame);
        this.acknowledge();
      }),
      this.from.port.writable$.subscribe(() => this.wake()),
    );
    this.wake();
  }

  stop(): void {
    for (const subscription of this.subscriptions) subscription.unsubscribe();
  }

  /** Sends while there is room; runs in the sending domain. */
  run(): void {
    this.waiting = false;
    while (this.next < this.total) {
      const frame = this.frames[this.next % this.frames.length] as NumberedFrame;
      const pages = pagesOf(frame.bytes.byteLength);
      if (this.pagesUnderWay > 0 && this.pagesUnderWay + pages > WINDOW_PAGES) {
        this.waiting = true;
        return;
      }
      if (!this.from.port.send(frame.bytes)) return;
      this.pagesUnderWay += pages;
      this.next += 1;
      this.sent += 1;
    }
  }

  private wake(): void {
    this.from.domain.defer(this);
  }

  private acknowledge(): void {
    // Whatever arrived takes the oldest frame's place in the window; the verifier says whether it is the right one.
    const frame = this.frames[this.acknowledged % this.frames.length];
    if (this.acknowledged < this.next && frame !== undefined) {
      this.acknowledged += 1;
      this.pagesUnderWay -= pagesOf(frame.bytes.byteLength);
    }
    if (this.waiting && this.pagesUnderWay * 2 <= WINDOW_PAGES) this.wake();
    if (this.verifier.complete) this.completed();
  }
}
