import type { Frame, FramePort } from '@netchannel2/xen';
import { share, tap } from 'rxjs';
import type { CaptureSink } from './capture-sink';
import { PortDecorator } from './port-decorator';

/**
 * The same port, with every frame that crosses it recorded: those it emits while it has a subscriber, and those it took
 * to send. A frame that was refused for want of room is not recorded.
 */
export function captured(port: FramePort, sink: CaptureSink): FramePort {
  return new CapturedPort(port, sink);
}

class CapturedPort extends PortDecorator {
  constructor(
    port: FramePort,
    private readonly sink: CaptureSink,
  ) {
    super(
      port,
      port.frames$.pipe(
        tap((frame) => sink.record(frame, 'in')),
        share(),
      ),
    );
  }

  override send(frame: Frame | Uint8Array): boolean {
    // Copied first: a frame of a pool may be gone once it was taken.
    const copy = frame instanceof Uint8Array ? frame : frame.toBytes();
    if (!this.port.send(frame)) return false;
    this.sink.record(copy, 'out');
    return true;
  }
}
