import type { Frame, FramePort } from '@netchannel2/xen';
import { HotStream } from '../hot-stream';
import { PortCounters } from '../port-counters';

/** A port with room for so many frames; `makeRoom` is what a peer taking frames would do. */
export class RoomyPort implements FramePort {
  readonly name = 'roomy';
  readonly frames$ = new HotStream<Frame>();
  readonly writable$ = new HotStream<void>();
  readonly counters = new PortCounters<'none'>(['none']);
  readonly taken: (Frame | Uint8Array)[] = [];
  flushes = 0;
  /** Called by `flush`, as a peer that takes frames on the spot. */
  onFlush: () => void = () => {};

  constructor(private room: number) {}

  send(frame: Frame | Uint8Array): boolean {
    if (this.room === 0) {
      this.counters.sendRefused += 1;
      return false;
    }
    this.room -= 1;
    this.taken.push(frame);
    return true;
  }

  flush(): void {
    this.flushes += 1;
    this.onFlush();
  }

  makeRoom(count: number): void {
    this.room += count;
    this.writable$.emit();
  }
}
