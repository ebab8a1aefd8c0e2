import { PortCounters } from '@netchannel2/frames';
import type { Frame, FramePort } from '@netchannel2/xen';
import { NEVER, type Observable } from 'rxjs';
import type { CaptureSink } from './capture-sink';

/** A port that records what is sent to it and emits nothing: a capture file as a member of a bridge. */
export class CapturePort implements FramePort {
  readonly frames$: Observable<Frame> = NEVER;
  readonly writable$: Observable<void> = NEVER;
  readonly counters = new PortCounters<never>([]);

  constructor(
    readonly name: string,
    private readonly sink: CaptureSink,
  ) {}

  send(frame: Frame | Uint8Array): boolean {
    this.sink.record(frame, 'in');
    this.counters.framesSent += 1;
    this.counters.bytesSent += frame.byteLength;
    return true;
  }

  flush(): void {}
}
