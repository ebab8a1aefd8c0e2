import type { Frame, FramePort, FrameView } from '@netchannel2/xen';
import createDebug from 'debug';
import { share, tap } from 'rxjs';
import { PortDecorator } from './port-decorator';

/** Receives one line for each frame. */
export type TraceSink = (line: string) => void;

/**
 * The same port, with one line for each frame that crosses it: direction, addresses, EtherType, length.
 *
 * @param sink default: `debug` under the name `netchannel2:frames:<port>`.
 */
export function traced(
  port: FramePort,
  sink: TraceSink = createDebug(`netchannel2:frames:${port.name}`),
): FramePort {
  return new TracedPort(port, sink);
}

class TracedPort extends PortDecorator {
  constructor(
    port: FramePort,
    private readonly sink: TraceSink,
  ) {
    super(
      port,
      port.frames$.pipe(
        tap((frame) => sink(`${port.name} < ${describeFrame(frame)}`)),
        share(),
      ),
    );
  }

  override send(frame: Frame | Uint8Array): boolean {
    const described = describeFrame(frame);
    const taken = this.port.send(frame);
    this.sink(`${this.port.name} > ${described}${taken ? '' : ' refused: no room'}`);
    return taken;
  }
}

/** `02:00:00:00:00:0a > ff:ff:ff:ff:ff:ff 0x0806 42 bytes` */
export function describeFrame(frame: FrameView | Uint8Array): string {
  const header = new Uint8Array(14);
  const length =
    frame instanceof Uint8Array
      ? Math.min(14, frame.byteLength)
      : frame.copyTo(header, 0, 0, Math.min(14, frame.byteLength));
  if (frame instanceof Uint8Array) header.set(frame.subarray(0, length));
  if (length < 14) return `runt of ${frame.byteLength} bytes`;
  const hex = Array.from(header, (byte) => byte.toString(16).padStart(2, '0'));
  const target = hex.slice(0, 6).join(':');
  const source = hex.slice(6, 12).join(':');
  return `${source} > ${target} 0x${hex.slice(12).join('')} ${frame.byteLength} bytes`;
}
