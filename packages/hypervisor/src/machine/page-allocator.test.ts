import { DOMID_XEN } from '@netchannel2/xen';
import { beforeEach, describe, expect, it } from 'vitest';
import { FrameTable, freeFrameCount } from './frame-table';
import { MachineMemory } from './machine-memory';
import { PageAllocator } from './page-allocator';

describe('page allocator', () => {
  let memory: MachineMemory;
  let frames: FrameTable;
  let allocator: PageAllocator;

  beforeEach(() => {
    memory = MachineMemory.create(4 * 1024 * 1024);
    frames = new FrameTable(memory);
    allocator = new PageAllocator(memory, frames);
  });

  function give(frame: number): void {
    if (frames.drop(frame)) allocator.free(frame);
  }

  it('gives the lowest run', () => {
    const first = allocator.allocateRun(3, 1);
    expect(first).toBe(memory.firstFrame);
    expect(allocator.allocateRun(2, 2)).toBe(first + 3);
    give(first + 1);
    expect(allocator.allocateRun(2, 3)).toBe(first + 5);
    expect(allocator.allocateRun(1, 3)).toBe(first + 1);
    expect([frames.owner(first), frames.owner(first + 1), frames.owner(first + 3)]).toEqual([1, 3, 2]);
  });

  it('takes Xen’s pages from the top', () => {
    const address = allocator.allocateXenPages(2);
    expect(address >>> 12).toBe(memory.frameCount - 2);
    expect(frames.owner(address >>> 12)).toBe(DOMID_XEN);
    allocator.freeXenPages(address, 2);
    expect(frames.owner(address >>> 12)).toBe(-1);
  });

  it('zeroes what somebody used before', () => {
    const first = allocator.allocateRun(1, 1);
    memory.bytes.fill(0xa5, first << 12, (first + 1) << 12);
    give(first);
    expect(allocator.allocateRun(1, 2)).toBe(first);
    expect(memory.bytes.subarray(first << 12, (first + 1) << 12).every((byte) => byte === 0)).toBe(true);
  });

  it('runs out without losing a frame', () => {
    const free = freeFrameCount(memory);
    expect(allocator.allocateRun(free + 1, 1)).toBe(-1);
    expect(allocator.allocateXenPages(free + 1)).toBe(0);
    const first = allocator.allocateRun(free, 1);
    expect(first).toBe(memory.firstFrame);
    expect(allocator.allocateXenPages(1)).toBe(0);
    for (let frame = first; frame < first + free; frame++) give(frame);
    expect(freeFrameCount(memory)).toBe(free);
  });

  it('never gives out a frame that is still referenced', () => {
    const first = allocator.allocateRun(1, 1);
    expect(frames.acquire(first, 1)).toBe(true);
    give(first);
    expect(allocator.allocateRun(1, 2)).toBe(first + 1);
    expect(frames.acquire(first, 2)).toBe(false);
    give(first);
    expect(frames.acquire(first, 1)).toBe(false);
    expect(allocator.allocateRun(1, 2)).toBe(first);
  });
});
