import type {
  DomainId,
  ForeignMemory,
  GrantAccess,
  GrantCopyBatch,
  GrantRef,
  MappedPages,
} from '@netchannel2/xen';
import { GrantStatus, PAGE_SHIFT, PAGE_SIZE } from '@netchannel2/xen';
import { Block } from '../domains/domain-block';
import type { DomainTable } from '../domains/domain-table';
import { SimulatedArea } from './area';
import { COPY_BYTES, SimulatedCopyBatch } from './copy-batch';
import type { GrantHypercall } from './hypercall';
import { MappingWindow } from './mapping-window';
import type { SimulatedMemory } from './simulated-memory';

/** struct gnttab_map_grant_ref and gnttab_unmap_grant_ref (spec grant-tables.md §3); offsets in words. */
const MAP_WORDS = 8;
const MAP_FLAGS = 2;
const MAP_REF = 3;
const MAP_DOM_STATUS = 4;
const MAP_HANDLE = 5;
const MAP_BUS_ADDRESS = 6;
const UNMAP_WORDS = 6;
const UNMAP_HANDLE = 4;
const GNTTABOP_MAP = 0;
const GNTTABOP_UNMAP = 1;
const GNTMAP_HOST = 2;
const GNTMAP_READONLY = 4;
const MAPS_PER_CALL = PAGE_SIZE / 32;
const UNMAPS_PER_CALL = Math.floor(PAGE_SIZE / 24);
const MAXIMUM_BATCH = 512;

/** The granted side of a simulated domain: every operation is a real hypercall on structures in its own memory. */
export class SimulatedForeignMemory implements ForeignMemory {
  readonly #words: Int32Array;
  readonly #buffer: SimulatedArea;
  readonly #window: MappingWindow;
  readonly #mappings = new Set<Mapping>();
  /** Batches have no end of their own: their buffers go back when nobody holds them any more. */
  readonly #batchBuffers: FinalizationRegistry<BatchMemory>;
  readonly #batches = new Set<WeakRef<SimulatedCopyBatch>>();

  constructor(
    private readonly domains: DomainTable,
    private readonly domid: DomainId,
    block: number,
    private readonly memory: SimulatedMemory,
    private readonly hypercall: GrantHypercall,
  ) {
    const { words } = domains;
    this.#words = words;
    const buffer = memory.allocate(1);
    if (buffer === undefined)
      throw new RangeError('a domain needs a page for its hypercalls; give it more memory');
    this.#buffer = buffer;
    const windowBase = words[block + Block.windowBase] as number;
    const end = (words[block + Block.physmapBase] as number) + (words[block + Block.physmapLength] as number);
    this.#window = new MappingWindow(windowBase, end - windowBase);
    this.#batchBuffers = new FinalizationRegistry(({ buffer, batch }) => {
      this.#batches.delete(batch);
      this.memory.free(buffer);
    });
  }

  map(owner: DomainId, refs: readonly GrantRef[], access: GrantAccess): MappedPages | GrantStatus {
    const count = refs.length;
    // Once the domain has ended its buffer is nobody's to write to.
    if (this.#buffer.byteLength === 0) return GrantStatus.generalError;
    if (count === 0) return GrantStatus.badGrantRef;
    const first = this.#window.allocate(count);
    if (first < 0) return GrantStatus.noSpace;
    const handles: number[] = [];
    const frames: number[] = [];
    let status = this.#mapAll(owner, refs, access, first, handles, frames);
    const base = (frames[0] ?? 0) << PAGE_SHIFT;
    if (status === GrantStatus.okay && !frames.every((frame, index) => frame === (frames[0] ?? 0) + index)) {
      status = GrantStatus.generalError;
    }
    if (status !== GrantStatus.okay) {
      this.#unmapAll(first, handles);
      this.#window.free(first, count);
      return status;
    }
    const guestFrames = refs.map((_, index) => first + index);
    const area = SimulatedArea.of(this.domains.memory, base, guestFrames);
    const mapping = new Mapping(owner, area, first, handles, (ended) => this.#end(ended));
    this.#mappings.add(mapping);
    return mapping;
  }

  createCopyBatch(capacity: number): GrantCopyBatch {
    if (!Number.isInteger(capacity) || capacity < 1 || capacity > MAXIMUM_BATCH) {
      throw new RangeError(`a copy batch holds 1 to ${MAXIMUM_BATCH} elements, not ${capacity}`);
    }
    const buffer = this.memory.allocate(Math.ceil((capacity * COPY_BYTES) / PAGE_SIZE));
    if (buffer === undefined) {
      throw new RangeError(`domain ${this.domid} has no memory left for a copy batch; give it more pages`);
    }
    const batch = new SimulatedCopyBatch(capacity, buffer, this.domid, this.domains.frames, this.hypercall);
    const weak = new WeakRef(batch);
    this.#batches.add(weak);
    this.#batchBuffers.register(batch, { buffer, batch: weak });
    return batch;
  }

  /** The domain has ended and Xen removed its mappings: whoever still holds an area or a batch reaches nothing. */
  detachAll(): void {
    for (const mapping of this.#mappings) mapping.area.detach(this.domains.memory.deadArea);
    this.#mappings.clear();
    for (const batch of this.#batches) batch.deref()?.detach();
    this.#batches.clear();
  }

  /** Maps until the first failure; `handles` and `frames` receive what was mapped. */
  #mapAll(
    owner: DomainId,
    refs: readonly GrantRef[],
    access: GrantAccess,
    first: number,
    handles: number[],
    frames: number[],
  ): GrantStatus {
    const words = this.#words;
    const base = this.#buffer.base >>> 2;
    const flags = access === 'readonly' ? GNTMAP_HOST | GNTMAP_READONLY : GNTMAP_HOST;
    let failure: GrantStatus = GrantStatus.okay;
    for (let start = 0; start < refs.length && failure === GrantStatus.okay; start += MAPS_PER_CALL) {
      const chunk = Math.min(MAPS_PER_CALL, refs.length - start);
      for (let index = 0; index < chunk; index++) {
        const element = base + index * MAP_WORDS;
        words[element] = (first + start + index) << PAGE_SHIFT;
        words[element + 1] = 0;
        words[element + MAP_FLAGS] = flags;
        words[element + MAP_REF] = refs[start + index] as number;
        words[element + MAP_DOM_STATUS] = owner | (GrantStatus.generalError << 16);
      }
      this.hypercall(GNTTABOP_MAP, this.#buffer.base, chunk);
      for (let index = 0; index < chunk; index++) {
        const element = base + index * MAP_WORDS;
        const status = ((words[element + MAP_DOM_STATUS] as number) >> 16) as GrantStatus;
        if (status === GrantStatus.okay) {
          handles[start + index] = words[element + MAP_HANDLE] as number;
          frames[start + index] = (words[element + MAP_BUS_ADDRESS] as number) >>> PAGE_SHIFT;
        } else if (failure === GrantStatus.okay) {
          failure = status;
        }
      }
    }
    return failure;
  }

  /** Unmaps what `handles` names; holes are elements that were never mapped. */
  #unmapAll(first: number, handles: readonly (number | undefined)[]): void {
    const words = this.#words;
    const base = this.#buffer.base >>> 2;
    let pending = 0;
    for (let index = 0; index < handles.length; index++) {
      const handle = handles[index];
      if (handle === undefined) continue;
      const element = base + pending * UNMAP_WORDS;
      words[element] = (first + index) << PAGE_SHIFT;
      words[element + 1] = 0;
      words[element + 2] = 0;
      words[element + 3] = 0;
      words[element + UNMAP_HANDLE] = handle;
      words[element + UNMAP_HANDLE + 1] = 0;
      pending++;
      if (pending < UNMAPS_PER_CALL) continue;
      this.hypercall(GNTTABOP_UNMAP, this.#buffer.base, pending);
      pending = 0;
    }
    if (pending > 0) this.hypercall(GNTTABOP_UNMAP, this.#buffer.base, pending);
  }

  #end(mapping: Mapping): void {
    if (!this.#mappings.delete(mapping)) return;
    // Nobody may look at the page once its owner can have it back.
    mapping.area.detach(this.domains.memory.deadArea);
    this.#unmapAll(mapping.firstFrame, mapping.handles);
    this.#window.free(mapping.firstFrame, mapping.handles.length);
  }
}

interface BatchMemory {
  readonly buffer: SimulatedArea;
  readonly batch: WeakRef<SimulatedCopyBatch>;
}

class Mapping implements MappedPages {
  constructor(
    readonly owner: DomainId,
    readonly area: SimulatedArea,
    readonly firstFrame: number,
    readonly handles: readonly number[],
    private readonly end: (mapping: Mapping) => void,
  ) {}

  unmap(): void {
    this.end(this);
  }
}
