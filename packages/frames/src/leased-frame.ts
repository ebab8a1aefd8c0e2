import type { Frame } from '@netchannel2/xen';
import { FragmentedFrame } from './fragmented-frame';

/** A frame that owns one lease of each of its pages: made by `retain()` or by a pool. */
export class LeasedFrame extends FragmentedFrame implements Frame {
  /** A second holder of the bytes of `source`. */
  static of(source: FragmentedFrame): LeasedFrame {
    const frame = new LeasedFrame();
    frame.copyShape(source);
    for (let index = 0; index < frame.fragmentCount; index += 1) frame.fragmentPage(index).acquire();
    return frame;
  }

  /** A further holder of the same pages; `undefined` once this frame was released. */
  retain(): Frame | undefined {
    return this.fragmentCount === 0 ? undefined : LeasedFrame.of(this);
  }

  /** Idempotent: a released frame has no pages left to release. */
  release(): void {
    this.releasePages();
  }
}
