import type { DomainMemory, MemoryArea, PageArea } from '@netchannel2/xen';
import { PAGE_SHIFT, PAGE_SIZE } from '@netchannel2/xen';
import { HostArea } from './host-area';
import { internetChecksum } from './internet-checksum';
import { MemoryRegions } from './memory-regions';
import type { NativeMemory } from './native/xen-libraries';
import { PageRuns } from './page-runs';

/**
 * A process's own pages: one arena of private memory, so that all of them share two typed arrays. Page 0 of it stays empty and
 * is where freed areas point. Pages shared with peers are the kernel's, made by gntalloc; they count against the same number.
 */
export class HostMemory implements DomainMemory {
  readonly regions = new MemoryRegions();
  readonly #native: NativeMemory;
  readonly #address: number;
  readonly #byteLength: number;
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;
  readonly #runs: PageRuns;
  /** Pages that held something once: fresh ones are zero already. */
  readonly #dirty: Uint8Array;
  readonly #areas = new Set<HostArea>();
  #free: number;

  constructor(native: NativeMemory, pageCount: number) {
    this.#native = native;
    this.#byteLength = (pageCount + 1) * PAGE_SIZE;
    this.#address = native.allocate(this.#byteLength);
    const buffer = native.view(this.#address, this.#byteLength);
    this.#bytes = new Uint8Array(buffer);
    this.#words = new Int32Array(buffer);
    this.regions.add(this.#bytes, this.#address);
    this.#runs = new PageRuns(pageCount + 1);
    this.#runs.take(1);
    this.#dirty = new Uint8Array(pageCount + 1);
    this.#free = pageCount;
  }

  get freePages(): number {
    return this.#free;
  }

  allocate(pageCount: number): HostArea | undefined {
    if (!Number.isInteger(pageCount) || pageCount < 1) {
      throw new RangeError(`pages are allocated in whole numbers from 1, not ${pageCount}`);
    }
    if (pageCount > this.#free) return undefined;
    const first = this.#runs.take(pageCount);
    if (first < 0) return undefined;
    this.#free -= pageCount;
    const base = first << PAGE_SHIFT;
    for (let page = first; page < first + pageCount; page++) {
      if (this.#dirty[page] === 1) this.#bytes.fill(0, page << PAGE_SHIFT, (page + 1) << PAGE_SHIFT);
      this.#dirty[page] = 1;
    }
    const area = HostArea.of(this.#bytes, this.#words, base, pageCount, first);
    this.#areas.add(area);
    return area;
  }

  free(area: PageArea): void {
    if (area.byteLength === 0) return;
    if (!(area instanceof HostArea) || !this.#areas.delete(area)) {
      throw new TypeError('free() takes, once, the areas that allocate() of the same domain returned');
    }
    const count = area.byteLength >>> PAGE_SHIFT;
    this.#runs.giveBack(area.base >>> PAGE_SHIFT, count);
    this.#free += count;
    area.detach(0);
  }

  copy(
    target: MemoryArea,
    targetOffset: number,
    source: MemoryArea,
    sourceOffset: number,
    length: number,
  ): void {
    // The page behind a detached target stays all zero.
    if (target.byteLength === 0) return;
    const from = source.base + sourceOffset;
    if (target.bytes === source.bytes) {
      target.bytes.copyWithin(target.base + targetOffset, from, from + length);
    } else {
      target.bytes.set(source.bytes.subarray(from, from + length), target.base + targetOffset);
    }
  }

  copyIn(target: MemoryArea, targetOffset: number, source: Uint8Array): void {
    if (target.byteLength > 0) target.bytes.set(source, target.base + targetOffset);
  }

  checksum(area: MemoryArea, offset: number, length: number, initial: number): number {
    return internetChecksum(area.bytes, area.words, area.base + offset, length, initial);
  }

  /** @internal Counts pages the kernel gives to be shared; false when the domain has no so many left. */
  reserve(pageCount: number): boolean {
    if (pageCount > this.#free) return false;
    this.#free -= pageCount;
    return true;
  }

  /** @internal */
  unreserve(pageCount: number): void {
    this.#free += pageCount;
  }

  /** @internal An area over pages at `address` that did not come from the arena: shared or mapped ones. */
  adopt(address: number, pageCount: number): HostArea {
    const buffer = this.#native.view(address, pageCount * PAGE_SIZE);
    const bytes = new Uint8Array(buffer);
    this.regions.add(bytes, address);
    return HostArea.of(bytes, new Int32Array(buffer), 0, pageCount, Math.floor(address / PAGE_SIZE));
  }

  /** @internal After the pages of an adopted area were unmapped at `address`. */
  abandon(area: HostArea, address: number): void {
    const byteLength = area.byteLength;
    area.detach(0);
    if (!this.#native.bury(address, byteLength)) return;
    this.#graves.register(area.bytes.buffer, { address, byteLength });
  }

  /** Ends the domain: whoever holds areas of it finds them empty. */
  close(): void {
    for (const area of this.#areas) area.detach(0);
    this.#areas.clear();
    this.#free = 0;
    this.#graves.register(this.#bytes.buffer, { address: this.#address, byteLength: this.#byteLength });
  }

  /** Address space whose views may still be held somewhere: it is released when nobody holds them any more. */
  readonly #graves = new FinalizationRegistry<{ readonly address: number; readonly byteLength: number }>(
    ({ address, byteLength }) => this.#native.release(address, byteLength),
  );
}
