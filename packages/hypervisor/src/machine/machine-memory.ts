/**
 * The machine's one memory: shared by every domain and every thread (design: a shared `WebAssembly.Memory`).
 *
 * Physical layout: page 0 is the header (so address 0 means "none"), then the frame table, the domain table, the dead
 * area, and from there on frames for Xen and the domains.
 */
import { PAGE_SHIFT, PAGE_SIZE } from '@netchannel2/xen';
import { instantiate, type Kernels, loadKernels } from './kernels';
import { WASM_PAGE_SIZE, type WasmMemory, wasm } from './webassembly';

/** Word offsets in the header page. Locks lie on cache lines of their own. */
export const HEADER = {
  magic: 0,
  frameCount: 1,
  frameTable: 2,
  domainTable: 3,
  deadArea: 4,
  firstFrame: 5,
  /** Set once a second thread may run hypercalls: until then kernels take no locks. */
  concurrent: 6,
  /** Domains whose last page has gone wait to be taken apart. */
  reapPending: 7,
  heapLock: 16,
  /** Frames nobody owns. */
  freeFrames: 17,
  domainsLock: 32,
  /** Xen's pages in use, of all kinds. */
  xenPages: 33,
  threadsLock: 48,
  /** Word indices of the records of 64 threads. */
  threads: 64,
} as const;

const MAGIC = 0x4d32_434e;

/** Words of one frame-table entry; see `frame-table.ts`. */
export const FRAME_ENTRY_SHIFT = 2;
/** Ids 0 … 0x7FEF each have a word in the domain table: the word index of the domain's block, 0 for none. */
export const DOMAIN_TABLE_ENTRIES = 0x7ff0;
/** Pages of the all-zero area that detached areas point at; larger than any area a driver keeps. */
export const DEAD_AREA_PAGES = 64;

const MINIMUM_BYTES = 4 * 1024 * 1024;
const MAXIMUM_BYTES = 2 ** 31;

export class MachineMemory {
  readonly bytes: Uint8Array;
  readonly halfwords: Uint16Array;
  readonly words: Int32Array;
  readonly doubles: Float64Array;
  readonly kernels: Kernels;
  readonly frameCount: number;
  /** Word index of the frame table. */
  readonly frameTable: number;
  /** Word index of the domain table. */
  readonly domainTable: number;
  /** Byte address of the dead area. */
  readonly deadArea: number;
  readonly firstFrame: number;
  private readonly modules = new Map<string, Readonly<Record<string, unknown>>>();

  private constructor(readonly memory: WasmMemory) {
    const { buffer } = memory;
    this.bytes = new Uint8Array(buffer);
    this.halfwords = new Uint16Array(buffer);
    this.words = new Int32Array(buffer);
    this.doubles = new Float64Array(buffer);
    this.kernels = loadKernels(memory);
    this.frameCount = this.words[HEADER.frameCount] as number;
    this.frameTable = this.words[HEADER.frameTable] as number;
    this.domainTable = this.words[HEADER.domainTable] as number;
    this.deadArea = this.words[HEADER.deadArea] as number;
    this.firstFrame = this.words[HEADER.firstFrame] as number;
  }

  /**
   * A zeroed machine memory of fixed size.
   *
   * @param byteLength 4 MiB … 2 GiB, a multiple of 64 KiB.
   */
  static create(byteLength: number): MachineMemory {
    if (
      !Number.isInteger(byteLength) ||
      byteLength < MINIMUM_BYTES ||
      byteLength > MAXIMUM_BYTES ||
      byteLength % WASM_PAGE_SIZE !== 0
    ) {
      throw new RangeError(
        `memoryBytes must be a multiple of 65536 from ${MINIMUM_BYTES} to ${MAXIMUM_BYTES}, not ${byteLength}`,
      );
    }
    const pages = byteLength / WASM_PAGE_SIZE;
    const memory = new wasm.Memory({ initial: pages, maximum: pages, shared: true });
    const words = new Int32Array(memory.buffer);
    const frameCount = byteLength >> PAGE_SHIFT || byteLength / PAGE_SIZE;
    const frameTable = PAGE_SIZE >> 2;
    const domainTable = frameTable + (frameCount << FRAME_ENTRY_SHIFT);
    const deadArea = roundToPage((domainTable + DOMAIN_TABLE_ENTRIES) * 4);
    words[HEADER.frameCount] = frameCount;
    words[HEADER.frameTable] = frameTable;
    words[HEADER.domainTable] = domainTable;
    words[HEADER.deadArea] = deadArea;
    const firstFrame = (deadArea >>> PAGE_SHIFT) + DEAD_AREA_PAGES;
    words[HEADER.firstFrame] = firstFrame;
    words[HEADER.freeFrames] = frameCount - firstFrame;
    words[HEADER.magic] = MAGIC;
    return new MachineMemory(memory);
  }

  /** Views and kernels over a machine memory created on another thread. */
  static attach(memory: WasmMemory): MachineMemory {
    if (new Int32Array(memory.buffer)[HEADER.magic] !== MAGIC) {
      throw new TypeError('this memory holds no machine: pass the handle that Machine.handle() returned');
    }
    return new MachineMemory(memory);
  }

  /** The exports of a module over this memory, instantiated once for this thread. @param module base64. */
  load(module: string): Readonly<Record<string, unknown>> {
    let exports = this.modules.get(module);
    if (exports === undefined) {
      exports = instantiate(module, this.memory);
      this.modules.set(module, exports);
    }
    return exports;
  }
}

function roundToPage(byteLength: number): number {
  return Math.ceil(byteLength / PAGE_SIZE) * PAGE_SIZE;
}
