import { FrameCursor, HotStream, PortCounters } from '@netchannel2/frames';
import { type Frame, type FramePort, guestFrame, type LeasedPage } from '@netchannel2/xen';

const LARGEST = 65536;

/** A port without a device: the test says what comes in and whether there is room. */
export class MemoryPort implements FramePort {
  readonly frames$ = new HotStream<Frame>();
  readonly writable$ = new HotStream<void>();
  readonly counters = new PortCounters<never>([]);
  readonly sent: Uint8Array[] = [];
  flushes = 0;
  hasRoom = true;
  private readonly cursor = new FrameCursor();
  private readonly page: LeasedPage;

  constructor(readonly name: string) {
    const bytes = new Uint8Array(LARGEST);
    this.page = {
      bytes,
      words: new Int32Array(bytes.buffer),
      base: 0,
      byteLength: LARGEST,
      frame: guestFrame(0),
      acquire() {},
      release() {},
    };
  }

  send(frame: Frame | Uint8Array): boolean {
    if (!this.hasRoom) return false;
    this.sent.push(frame instanceof Uint8Array ? frame.slice() : frame.toBytes());
    return true;
  }

  flush(): void {
    this.flushes += 1;
  }

  /** The other end sends. */
  receive(bytes: Uint8Array): void {
    this.page.bytes.set(bytes);
    this.cursor.addFragment(this.page, 0, bytes.byteLength);
    this.frames$.emit(this.cursor);
    this.cursor.end();
  }

  takeSent(): Uint8Array[] {
    return this.sent.splice(0);
  }
}

/** An Ethernet frame with the given addresses, each six bytes or a number for the last of `02:00:00:00:00:xx`. */
export function frameBetween(source: number | number[], target: number | number[], payload = 46): Uint8Array {
  const frame = new Uint8Array(14 + payload);
  frame.set(typeof target === 'number' ? [2, 0, 0, 0, 0, target] : target, 0);
  frame.set(typeof source === 'number' ? [2, 0, 0, 0, 0, source] : source, 6);
  frame[12] = 0x88;
  frame[13] = 0xb5;
  return frame;
}

export const BROADCAST = [255, 255, 255, 255, 255, 255];
