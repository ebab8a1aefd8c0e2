import type { GuestFrame, PageArea } from '@netchannel2/xen';
import { guestFrame, PAGE_SIZE } from '@netchannel2/xen';
import type { MachineMemory } from '../machine/machine-memory';

/**
 * A run of pages, and each single page of it: one class for both, so that every call site that takes memory sees one
 * shape.
 */
export class SimulatedArea implements PageArea {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  base: number;
  byteLength: number;
  /** Guest frame of the first page. */
  frame: GuestFrame;
  readonly pages: readonly SimulatedArea[];

  private constructor(
    memory: MachineMemory,
    base: number,
    byteLength: number,
    frame: GuestFrame,
    pages: readonly SimulatedArea[] | undefined,
  ) {
    this.bytes = memory.bytes;
    this.words = memory.words;
    this.base = base;
    this.byteLength = byteLength;
    this.frame = frame;
    this.pages = pages ?? [this];
  }

  /** An area of adjacent machine pages; `frames` are their guest frames. */
  static of(memory: MachineMemory, base: number, frames: readonly number[]): SimulatedArea {
    const first = guestFrame(frames[0] ?? 0);
    if (frames.length === 1) return new SimulatedArea(memory, base, PAGE_SIZE, first, undefined);
    const pages = frames.map(
      (frame, index) =>
        new SimulatedArea(memory, base + index * PAGE_SIZE, PAGE_SIZE, guestFrame(frame), undefined),
    );
    return new SimulatedArea(memory, base, frames.length * PAGE_SIZE, first, pages);
  }

  /** Lets go of the memory: from now on area and pages read as empty, all zero. */
  detach(deadArea: number): void {
    for (const page of this.pages) {
      page.base = deadArea;
      page.byteLength = 0;
    }
    this.base = deadArea;
    this.byteLength = 0;
  }
}
