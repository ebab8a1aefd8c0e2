import type { Frame, FramePort, FramePortCounters } from '@netchannel2/xen';
import type { Observable } from 'rxjs';

/** A frame port that passes everything on to another one; decorators override what they change. */
export abstract class PortDecorator implements FramePort {
  readonly frames$: Observable<Frame>;

  constructor(
    protected readonly port: FramePort,
    frames$: Observable<Frame> = port.frames$,
  ) {
    this.frames$ = frames$;
  }

  get name(): string {
    return this.port.name;
  }

  send(frame: Frame | Uint8Array): boolean {
    return this.port.send(frame);
  }

  get writable$(): Observable<void> {
    return this.port.writable$;
  }

  flush(): void {
    this.port.flush();
  }

  get counters(): FramePortCounters {
    return this.port.counters;
  }
}
