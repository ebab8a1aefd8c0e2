import type { FrameView } from '@netchannel2/xen';

/** Which way a frame went at the port where it was recorded: `in` came out of `frames$`, `out` was given to `send`. */
export type CaptureDirection = 'in' | 'out';

/** Where recorded frames go: a capture file's writer, a list. */
export interface CaptureSink {
  /** Takes a copy of what it needs: the frame is valid only during the call. */
  record(frame: FrameView | Uint8Array, direction: CaptureDirection): void;
}
