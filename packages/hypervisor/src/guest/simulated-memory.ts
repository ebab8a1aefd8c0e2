import type { DomainMemory, MemoryArea, MemoryKernels, PageArea } from '@netchannel2/xen';
import { PAGE_SHIFT, PAGE_SIZE } from '@netchannel2/xen';
import { Counter, counterBase, SCRATCH_COUNTERS } from '../accounting/counters';
import { Block } from '../domains/domain-block';
import type { DomainTable } from '../domains/domain-table';
import type { Kernels } from '../machine/kernels';
import { SimulatedArea } from './area';

/**
 * A domain's own pages. Which of them are in use is the guest kernel's business and no secret worth sharing: it is kept
 * in private memory of the domain's thread.
 */
export class SimulatedMemory implements DomainMemory, MemoryKernels {
  readonly #domains: DomainTable;
  readonly #kernels: Kernels;
  readonly #deadArea: number;
  readonly #doubles: Float64Array;
  #copiedSlot: number;
  /** Machine frame of each page, in order; -1 between two runs of frames that are not adjacent. */
  readonly #frames: Int32Array;
  readonly #used: Uint8Array;
  readonly #pageOfFrame = new Map<number, number>();
  readonly #areas = new Set<SimulatedArea>();
  #next = 0;
  #free = 0;

  constructor(domains: DomainTable, block: number) {
    this.#domains = domains;
    this.#kernels = domains.memory.kernels;
    this.#deadArea = domains.memory.deadArea;
    this.#doubles = domains.memory.doubles;
    this.#copiedSlot = counterBase(block) + Counter.bytesCopied;
    this.#frames = framesOf(domains.words, block);
    this.#used = new Uint8Array(this.#frames.length);
    // Never allocated here, so never freed: the page belongs to the xenstore driver.
    const storeFrame = (domains.words[block + Block.storePage] as number) >>> PAGE_SHIFT;
    for (let page = 0; page < this.#frames.length; page++) {
      const frame = this.#frames[page] as number;
      if (frame < 0 || (frame === storeFrame && storeFrame !== 0)) {
        this.#used[page] = 1;
      } else {
        this.#free++;
        this.#pageOfFrame.set(frame, page);
      }
    }
  }

  /** The domain has ended: its pages may soon be somebody else's, so nothing here reaches them any more. */
  stop(): void {
    for (const area of this.#areas) area.detach(this.#deadArea);
    this.#areas.clear();
    this.#used.fill(1);
    this.#free = 0;
    this.#copiedSlot = SCRATCH_COUNTERS + Counter.bytesCopied;
  }

  get kernels(): MemoryKernels {
    return this;
  }

  load(module: string): Readonly<Record<string, unknown>> {
    return this.#domains.memory.load(module);
  }

  countCopied(bytes: number): void {
    this.#doubles[this.#copiedSlot] = (this.#doubles[this.#copiedSlot] as number) + bytes;
  }

  get freePages(): number {
    return this.#free;
  }

  allocate(pageCount: number): SimulatedArea | undefined {
    if (!Number.isInteger(pageCount) || pageCount < 1) {
      throw new RangeError(`pages are allocated in whole numbers from 1, not ${pageCount}`);
    }
    if (pageCount > this.#free) return undefined;
    const first = this.#findRun(pageCount);
    if (first < 0) return undefined;
    const frames: number[] = [];
    for (let page = first; page < first + pageCount; page++) {
      this.#used[page] = 1;
      frames.push(this.#domains.frames.guestFrame(this.#frames[page] as number));
    }
    this.#free -= pageCount;
    this.#next = first + pageCount;
    const base = (this.#frames[first] as number) << PAGE_SHIFT;
    this.#kernels.fill(base, 0, pageCount * PAGE_SIZE);
    const area = SimulatedArea.of(this.#domains.memory, base, frames);
    this.#areas.add(area);
    return area;
  }

  free(area: PageArea): void {
    if (area.byteLength === 0) return;
    if (!(area instanceof SimulatedArea)) {
      throw new TypeError('free() takes the areas that allocate() of the same domain returned');
    }
    const first = this.#pageOfFrame.get(area.base >>> PAGE_SHIFT);
    const count = area.byteLength / PAGE_SIZE;
    if (first === undefined || this.#used[first] !== 1) {
      throw new RangeError('this area is not one this domain has allocated; a page is freed once');
    }
    this.#used.fill(0, first, first + count);
    this.#free += count;
    this.#areas.delete(area);
    area.detach(this.#deadArea);
  }

  copy(
    target: MemoryArea,
    targetOffset: number,
    source: MemoryArea,
    sourceOffset: number,
    length: number,
  ): void {
    // The dead area behind a detached target stays all zero.
    if (target.byteLength === 0) return;
    this.#kernels.copy(target.base + targetOffset, source.base + sourceOffset, length);
    this.#doubles[this.#copiedSlot] = (this.#doubles[this.#copiedSlot] as number) + length;
  }

  copyIn(target: MemoryArea, targetOffset: number, source: Uint8Array): void {
    if (target.byteLength === 0) return;
    target.bytes.set(source, target.base + targetOffset);
    this.#doubles[this.#copiedSlot] = (this.#doubles[this.#copiedSlot] as number) + source.length;
  }

  checksum(area: MemoryArea, offset: number, length: number, initial: number): number {
    return this.#kernels.checksum(area.base + offset, length, initial);
  }

  /** First of `count` adjacent unused pages, searched for from where the last search ended; -1 if there are none. */
  #findRun(count: number): number {
    const found = this.#findFrom(this.#next, count);
    return found >= 0 || this.#next === 0 ? found : this.#findFrom(0, count);
  }

  #findFrom(start: number, count: number): number {
    let length = 0;
    for (let page = start; page < this.#used.length; page++) {
      length = this.#used[page] === 0 ? length + 1 : 0;
      if (length === count) return page - count + 1;
    }
    return -1;
  }
}

/** The frames of a domain's runs in order, with a gap between runs so that no area spans two. */
function framesOf(words: Int32Array, block: number): Int32Array {
  const frames: number[] = [];
  const runs = words[block + Block.runCount] as number;
  for (let run = 0; run < runs; run++) {
    const first = words[block + Block.runs + run * 2] as number;
    const count = words[block + Block.runs + run * 2 + 1] as number;
    if (run > 0) frames.push(-1);
    for (let frame = first; frame < first + count; frame++) frames.push(frame);
  }
  return Int32Array.from(frames);
}
