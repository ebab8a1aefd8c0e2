/**
 * Which domains there are, and the records of each. All of it lies in shared memory; this class only finds its way.
 */
import { DOMID_FIRST_RESERVED, DOMID_SELF, PAGE_SHIFT } from '@netchannel2/xen';
import { FrameFlag, type FrameTable } from '../machine/frame-table';
import { lock, unlock } from '../machine/lock';
import { HEADER, type MachineMemory } from '../machine/machine-memory';
import type { PageAllocator } from '../machine/page-allocator';
import {
  BLOCK_BYTES,
  Block,
  DomainKind,
  DomainState,
  MAXIMUM_RUNS,
  MAXIMUM_VCPUS,
  PHYSMAP_KIND_SHIFT,
  PhysmapKind,
  XEN_FRAMES_GAP,
} from './domain-block';

/** What a domain is created with. Every limit has Xen's or its toolstack's usual default. */
export interface DomainLimits {
  readonly kind: 'pv' | 'hvm';
  readonly privileged: boolean;
  /** Pages of RAM. */
  readonly memoryPages: number;
  /** Pages of grant mappings the domain can hold at once. */
  readonly mappingPages: number;
  readonly vcpus: number;
  readonly maxGrantFrames: number;
  readonly maxMaptrackFrames: number;
  readonly maxGrantVersion: 1 | 2;
  /** Highest event-channel port; -1 for no limit but the ABI's. */
  readonly maxEventChannelPort: number;
  /** 32 gives the domain the port limits of a 32-bit guest. */
  readonly wordBits: 32 | 64;
}

export class DomainTable {
  readonly words: Int32Array;
  readonly #table: number;

  constructor(
    readonly memory: MachineMemory,
    readonly frames: FrameTable,
    readonly allocator: PageAllocator,
  ) {
    this.words = memory.words;
    this.#table = memory.domainTable;
  }

  /** Word index of the domain's block; 0 when the id names no domain. Real ids only. */
  block(domid: number): number {
    if (domid < 0 || domid >= DOMID_FIRST_RESERVED) return 0;
    return this.words[this.#table + domid] as number;
  }

  /** Like {@link block}, with DOMID_SELF standing for the caller. */
  resolve(caller: number, domid: number): number {
    return this.block(domid === DOMID_SELF ? caller : domid);
  }

  state(block: number): DomainState {
    return Atomics.load(this.words, block + Block.state) as DomainState;
  }

  /** XSM's default policy for operations on a target: the target itself, or a control domain. */
  mayControl(caller: number, target: number): boolean {
    if (caller === target) return true;
    const block = this.block(caller);
    return block !== 0 && this.words[block + Block.privileged] === 1;
  }

  /** Whether `[address, address + byteLength)` lies in pages of `caller`. */
  mayAccess(caller: number, address: number, byteLength: number): boolean {
    if (byteLength <= 0) return true;
    const last = address + byteLength - 1;
    if (address < 0 || last >= this.memory.bytes.length) return false;
    for (let frame = address >>> PAGE_SHIFT; frame <= last >>> PAGE_SHIFT; frame++) {
      if (this.frames.owner(frame) !== caller) return false;
    }
    return true;
  }

  /** Ids of all domains that resolve, zombies included. */
  ids(): number[] {
    const ids: number[] = [];
    for (let id = 0; id < DOMID_FIRST_RESERVED; id++) {
      if (this.words[this.#table + id] !== 0) ids.push(id);
    }
    return ids;
  }

  /**
   * Builds a domain's record, shared_info page, physmap and memory.
   *
   * @returns the block, or -1 when the machine has no memory left for it (nothing is left behind).
   */
  create(domid: number, limits: DomainLimits): number {
    if (limits.vcpus < 1 || limits.vcpus > MAXIMUM_VCPUS) {
      throw new RangeError(`a domain has 1 to ${MAXIMUM_VCPUS} vCPUs, not ${limits.vcpus}`);
    }
    const { words, allocator } = this;
    const address = allocator.allocateXenPages(BLOCK_BYTES >>> PAGE_SHIFT);
    if (address === 0) return -1;
    const block = address >>> 2;
    const hvm = limits.kind === 'hvm';
    words[block + Block.domid] = domid;
    words[block + Block.kind] = hvm ? DomainKind.hvm : DomainKind.pv;
    words[block + Block.privileged] = limits.privileged ? 1 : 0;
    words[block + Block.maximumFrames] = limits.memoryPages;
    words[block + Block.vcpus] = limits.vcpus;
    words[block + Block.portLimit] = limits.wordBits === 64 ? 4096 : 1024;
    words[block + Block.selectorShift] = limits.wordBits === 64 ? 6 : 5;
    words[block + Block.maximumPort] =
      limits.maxEventChannelPort < 0 ? 0x7fff_ffff : limits.maxEventChannelPort;
    words[block + Block.maximumGrantFrames] = limits.maxGrantFrames;
    words[block + Block.maximumMaptrackFrames] = limits.maxMaptrackFrames;
    words[block + Block.maximumGrantVersion] = limits.maxGrantVersion;
    const built =
      this.#buildPhysmap(block, limits) &&
      this.#giveSharedInfo(block) &&
      this.#giveMemory(block, domid, limits);
    if (!built) {
      this.releaseMemory(block);
      this.releaseRecord(block);
      return -1;
    }
    lock(words, HEADER.domainsLock);
    Atomics.store(words, block + Block.state, DomainState.alive);
    Atomics.store(words, this.#table + domid, block);
    unlock(words, HEADER.domainsLock);
    return block;
  }

  /** Drops the owner's reference on every page of a domain; pages that others reference live on. */
  releaseMemory(block: number): void {
    const domid = this.words[block + Block.domid] as number;
    for (let frame = this.memory.firstFrame; frame < this.memory.frameCount; frame++) {
      if (this.frames.owner(frame) === domid) this.releaseOwned(frame, domid);
    }
    this.words[block + Block.runCount] = 0;
  }

  /** Drops the owner's own reference, once. */
  releaseOwned(frame: number, domid: number): void {
    if (this.frames.owner(frame) !== domid || !this.frames.clearFlag(frame, FrameFlag.allocated)) return;
    this.releaseReference(frame);
  }

  /** Drops any reference; the last one gives the frame back and may complete its owner's end. */
  releaseReference(frame: number): void {
    const owner = this.frames.owner(frame);
    if (!this.frames.drop(frame)) return;
    this.allocator.free(frame);
    const block = this.block(owner);
    if (block !== 0) this.frameLeft(block);
  }

  /** One frame less in a domain's name; the last one of a dying domain completes its end. */
  frameLeft(block: number): void {
    const left = Atomics.sub(this.words, block + Block.ownedFrames, 1) - 1;
    if (left === 0 && this.state(block) === DomainState.dying)
      Atomics.store(this.words, HEADER.reapPending, 1);
  }

  /** Forgets a domain whose pages have all gone, so that its id can be used again. */
  forget(block: number): void {
    Atomics.store(this.words, this.#table + (this.words[block + Block.domid] as number), 0);
  }

  /** Frees everything of Xen's that the record holds, and the record. */
  releaseRecord(block: number): void {
    const { words, allocator } = this;
    for (let page = 0; page < 16; page++) {
      const records = words[block + Block.portPages + page] as number;
      if (records !== 0) allocator.freeXenPages(records << 2, 1);
    }
    const physmap = words[block + Block.physmap] as number;
    if (physmap !== 0) allocator.freeXenPages(physmap << 2, words[block + Block.physmapPages] as number);
    const sharedInfo = words[block + Block.sharedInfo] as number;
    if (sharedInfo !== 0) allocator.freeXenPages(sharedInfo, 1);
    allocator.freeXenPages(block << 2, BLOCK_BYTES >>> PAGE_SHIFT);
  }

  #buildPhysmap(block: number, limits: DomainLimits): boolean {
    const { words } = this;
    const ramFrames = limits.kind === 'hvm' ? limits.memoryPages + XEN_FRAMES_GAP : 0;
    const length = ramFrames + limits.mappingPages;
    const pages = Math.max(1, Math.ceil((length * 4) / 4096));
    const address = this.allocator.allocateXenPages(pages);
    if (address === 0) return false;
    // A PV guest frame is a machine frame, so its window starts above the machine's memory.
    const base = limits.kind === 'hvm' ? 0 : this.memory.frameCount;
    words[block + Block.physmap] = address >>> 2;
    words[block + Block.physmapPages] = pages;
    words[block + Block.physmapBase] = base;
    words[block + Block.physmapLength] = length;
    words[block + Block.windowBase] = base + ramFrames;
    return true;
  }

  #giveSharedInfo(block: number): boolean {
    const address = this.allocator.allocateXenPages(1);
    this.words[block + Block.sharedInfo] = address;
    return address !== 0;
  }

  #giveMemory(block: number, domid: number, limits: DomainLimits): boolean {
    const { words } = this;
    let wanted = limits.memoryPages;
    let size = wanted;
    let runs = 0;
    let guestFrame = 0;
    while (wanted > 0) {
      if (runs === MAXIMUM_RUNS) return false;
      const count = Math.min(size, wanted);
      const first = this.allocator.allocateRun(count, domid);
      if (first < 0) {
        size = Math.floor(count / 2);
        if (size === 0) return false;
        continue;
      }
      words[block + Block.runs + runs * 2] = first;
      words[block + Block.runs + runs * 2 + 1] = count;
      runs++;
      words[block + Block.runCount] = runs;
      Atomics.add(words, block + Block.ownedFrames, count);
      for (let frame = first; frame < first + count; frame++) {
        if (limits.kind === 'pv') {
          this.frames.setGuestFrame(frame, frame);
          continue;
        }
        this.frames.setGuestFrame(frame, guestFrame);
        words[(words[block + Block.physmap] as number) + guestFrame] =
          frame | (PhysmapKind.ram << PHYSMAP_KIND_SHIFT);
        guestFrame++;
      }
      wanted -= count;
    }
    return true;
  }
}
