/**
 * The machine's heap of frames. Domains are given runs from the bottom, Xen's own pages come from the top, so that
 * runs stay long.
 */
import { DOMID_XEN, PAGE_SHIFT, PAGE_SIZE } from '@netchannel2/xen';
import type { FrameTable } from './frame-table';
import { lock, unlock } from './lock';
import { HEADER, type MachineMemory } from './machine-memory';

export class PageAllocator {
  constructor(
    private readonly memory: MachineMemory,
    private readonly frames: FrameTable,
  ) {}

  /** First frame of `count` adjacent zeroed frames for `owner`, the lowest there are; -1 when there is no such run. */
  allocateRun(count: number, owner: number): number {
    const { words } = this.memory;
    lock(words, HEADER.heapLock);
    const first = this.#lowestRun(count);
    if (first >= 0) this.#claim(first, count, owner);
    unlock(words, HEADER.heapLock);
    return first;
  }

  /** Address of `count` adjacent zeroed pages of Xen's own, 0 when there are none. */
  allocateXenPages(count: number): number {
    const { words } = this.memory;
    lock(words, HEADER.heapLock);
    const first = this.#highestRun(count);
    if (first >= 0) {
      this.#claim(first, count, DOMID_XEN);
      Atomics.add(words, HEADER.xenPages, count);
    }
    unlock(words, HEADER.heapLock);
    if (first < 0) return 0;
    return first << PAGE_SHIFT;
  }

  freeXenPages(address: number, count: number): void {
    const first = address >>> PAGE_SHIFT;
    for (let frame = first; frame < first + count; frame++) {
      Atomics.sub(this.memory.words, HEADER.xenPages, 1);
      if (this.frames.drop(frame)) this.free(frame);
    }
  }

  /** Gives back a frame whose last reference has gone. */
  free(frame: number): void {
    this.frames.setOwner(frame, -1);
    Atomics.add(this.memory.words, HEADER.freeFrames, 1);
  }

  #claim(first: number, count: number, owner: number): void {
    for (let frame = first; frame < first + count; frame++) {
      if (this.frames.claim(frame, owner)) this.memory.kernels.fill(frame << PAGE_SHIFT, 0, PAGE_SIZE);
    }
    Atomics.sub(this.memory.words, HEADER.freeFrames, count);
  }

  #lowestRun(count: number): number {
    let length = 0;
    for (let frame = this.memory.firstFrame; frame < this.memory.frameCount; frame++) {
      length = this.frames.owner(frame) < 0 ? length + 1 : 0;
      if (length === count) return frame - count + 1;
    }
    return -1;
  }

  #highestRun(count: number): number {
    let length = 0;
    for (let frame = this.memory.frameCount - 1; frame >= this.memory.firstFrame; frame--) {
      length = this.frames.owner(frame) < 0 ? length + 1 : 0;
      if (length === count) return frame;
    }
    return -1;
  }
}
