import type { TapPort } from '@netchannel2/tap';
import type { Frame, FramePort } from '@netchannel2/xen';
import { Subscription } from 'rxjs';

/**
 * Joins a device to a TAP. Where the device has no room the TAP is not read until it has: frames wait in the kernel's queue, which
 * is bounded, and its senders feel it.
 */
export function cable(device: FramePort, tap: TapPort): Subscription {
  let held: Frame | undefined;
  const joined = new Subscription();
  joined.add(device.frames$.subscribe((frame) => tap.send(frame)));
  joined.add(
    tap.frames$.subscribe((frame) => {
      if (device.send(frame)) return;
      held = frame.retain();
      tap.pause();
    }),
  );
  joined.add(
    device.writable$.subscribe(() => {
      if (held !== undefined && !device.send(held)) return;
      held?.release();
      held = undefined;
      tap.resume();
    }),
  );
  joined.add(() => {
    held?.release();
    held = undefined;
  });
  return joined;
}
