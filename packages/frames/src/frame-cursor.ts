import { type Frame, FrameChecksum, FrameSegmentation, type LeasedPage } from '@netchannel2/xen';
import { FragmentedFrame } from './fragmented-frame';
import { LeasedFrame } from './leased-frame';

/**
 * The one object a device emits for all its frames. The driver fills it (`addFragment`, properties), emits it and calls
 * `end()`; between emissions it is empty.
 */
export class FrameCursor extends FragmentedFrame implements Frame {
  /** Fills an empty cursor with a packet that lies in one page: `addFragment` of most packets. */
  loadPage(page: LeasedPage, offset: number, length: number): void {
    this.firstPage = page;
    this.firstOffset = offset;
    this.firstLength = length;
    this.fragmentCount = 1;
    this.byteLength = length;
  }

  retain(): Frame | undefined {
    return this.fragmentCount === 0 ? undefined : LeasedFrame.of(this);
  }

  /** The lease of an emission is the device's; a subscriber has none to end. */
  release(): void {}

  /** Ends the emission: the cursor and all views read as empty. The driver releases its pages itself. */
  end(): void {
    if (this.checksum !== FrameChecksum.unknown || this.segmentation !== FrameSegmentation.none) {
      this.detach();
      return;
    }
    this.generation += 1;
    this.byteLength = 0;
    this.fragmentCount = 0;
  }
}
