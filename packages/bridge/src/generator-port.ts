import { FrameCursor, type FramePool, HotStream, PortCounters } from '@netchannel2/frames';
import type { Frame, FramePort } from '@netchannel2/xen';
import { NEVER, type Observable } from 'rxjs';

/**
 * A port whose frames come from the program: what `generate` is given, the port emits. What is sent to it is counted and
 * gone.
 */
export class GeneratorPort implements FramePort {
  readonly writable$: Observable<void> = NEVER;
  readonly counters = new PortCounters<'unobserved' | 'noPages'>(['unobserved', 'noPages']);
  private readonly stream = new HotStream<Frame>();
  private readonly cursor = new FrameCursor();

  /** @param pool pages the frames are put into while they are emitted. */
  constructor(
    readonly name: string,
    private readonly pool: FramePool,
  ) {}

  get frames$(): Observable<Frame> {
    return this.stream;
  }

  /** Emits one frame. @returns false when the pool has no pages for it or nobody listens; the frame is dropped then. */
  generate(bytes: Uint8Array): boolean {
    if (!this.stream.observed) {
      this.counters.dropped.unobserved += 1;
      return false;
    }
    const frame = this.pool.frameFrom(bytes);
    if (frame === undefined) {
      this.counters.dropped.noPages += 1;
      return false;
    }
    for (let index = 0; index < frame.fragmentCount; index += 1)
      this.cursor.addFragment(
        frame.fragmentPage(index),
        frame.fragmentOffset(index),
        frame.fragmentLength(index),
      );
    this.counters.framesReceived += 1;
    this.counters.bytesReceived += bytes.byteLength;
    try {
      this.stream.emit(this.cursor);
    } finally {
      this.cursor.end();
      frame.release();
    }
    return true;
  }

  send(frame: Frame | Uint8Array): boolean {
    this.counters.framesSent += 1;
    this.counters.bytesSent += frame.byteLength;
    return true;
  }

  flush(): void {}

  /** No more frames: the stream completes. */
  close(): void {
    this.stream.complete();
  }
}
