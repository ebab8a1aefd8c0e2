import type { GrantTableHost } from '@netchannel2/grant-table';
import { DOMID_INVALID, DOMID_XEN, GrantStatus, PAGE_SHIFT } from '@netchannel2/xen';
import { Block, DomainKind, DomainState, PhysmapKind } from '../domains/domain-block';
import type { DomainTable } from '../domains/domain-table';
import { FrameFlag } from '../machine/frame-table';
import { GuestFrames } from './guest-frames';

const GNTMAP_READONLY = 4;
const NO_PAGE = -1;
const LOST = -3;

/** What this machine is to the grant-table operations. */
export class MachineGrantHost implements GrantTableHost {
  readonly bytes: Uint8Array;
  readonly halfwords: Uint16Array;
  readonly words: Int32Array;
  readonly copyPlain: (caller: number, address: number, count: number) => number;
  readonly copyForwarded: (caller: number, address: number, count: number, transitive: number) => number;
  readonly mapUsual: (caller: number, address: number, count: number) => number;
  readonly unmapUsual: (caller: number, address: number, count: number) => number;
  readonly #guestFrames: GuestFrames;
  #dismantled = 0;
  readonly #copy: (target: number, source: number, length: number) => void;

  /**
   * @param crashed told of a domain Xen crashes.
   * @param waitForCopies waits until no copy into or out of the domain's pages is under way.
   */
  constructor(
    private readonly domains: DomainTable,
    private readonly crashed: (domid: number, reason: string) => void,
    private readonly waitForCopies: (domid: number) => void,
  ) {
    const { memory } = domains;
    this.bytes = memory.bytes;
    this.halfwords = memory.halfwords;
    this.words = memory.words;
    this.#guestFrames = new GuestFrames(domains);
    this.#copy = memory.kernels.copy;
    this.copyPlain = memory.kernels.copyPlain;
    this.copyForwarded = memory.kernels.copyForwarded;
    this.mapUsual = memory.kernels.mapUsual;
    this.unmapUsual = memory.kernels.unmapUsual;
  }

  allocateXenPages(count: number): number {
    return this.domains.allocator.allocateXenPages(count);
  }

  freeXenPages(address: number, count: number): void {
    this.domains.allocator.freeXenPages(address, count);
  }

  sharePage(domid: number, machineFrame: number): void {
    const block = this.domains.block(domid);
    if (block === 0 || !this.#isHvmBlock(block)) return;
    this.#guestFrames.add(block, -1, machineFrame, PhysmapKind.xen);
  }

  withdrawPage(domid: number, machineFrame: number): boolean {
    const block = this.domains.block(domid);
    if (block === 0 || !this.#isHvmBlock(block)) return true;
    this.#guestFrames.drop(block, this.domains.frames.guestFrame(machineFrame), machineFrame);
    this.domains.frames.setGuestFrame(machineFrame, -1);
    return true;
  }

  sharedGuestFrame(domid: number, machineFrame: number): number {
    const block = this.domains.block(domid);
    if (block === 0) return -1;
    return this.#isHvmBlock(block) ? this.domains.frames.guestFrame(machineFrame) : machineFrame;
  }

  /** Lets the table of a domain nobody finds any more be taken apart. */
  dismantle(block: number, destroyTable: (domid: number) => void): void {
    this.#dismantled = block;
    destroyTable(this.words[block + Block.domid] as number);
    this.#dismantled = 0;
  }

  grantTableBlock(domid: number): number {
    let block = this.domains.block(domid);
    if (block === 0 && this.#dismantled !== 0 && this.words[this.#dismantled + Block.domid] === domid) {
      block = this.#dismantled;
    }
    return block === 0 ? 0 : (block + Block.grantTable) << 2;
  }

  isDying(domid: number): boolean {
    const block = this.domains.block(domid);
    return block !== 0 && this.domains.state(block) === DomainState.dying;
  }

  isHvm(domid: number): boolean {
    const block = this.domains.block(domid);
    return block !== 0 && this.#isHvmBlock(block);
  }

  mayControl(caller: number, target: number): boolean {
    return this.domains.mayControl(caller, target);
  }

  mayAccess(caller: number, address: number, byteLength: number): boolean {
    return this.domains.mayAccess(caller, address, byteLength);
  }

  machineFrame(domid: number, guestFrame: number, _writable: boolean): number {
    const block = this.domains.block(domid);
    return block === 0 ? NO_PAGE : this.#guestFrames.ramFrame(block, guestFrame);
  }

  acquirePage(machineFrame: number, owner: number, _writable: boolean): boolean {
    return this.domains.frames.acquire(machineFrame, owner);
  }

  releasePage(machineFrame: number, _writable: boolean): void {
    this.domains.releaseReference(machineFrame);
  }

  pageOwner(machineFrame: number): number {
    const owner = this.domains.frames.owner(machineFrame);
    return owner === DOMID_XEN ? NO_PAGE : owner;
  }

  mapHostAddress(caller: number, hostAddress: number, machineFrame: number, flags: number): number {
    const block = this.domains.block(caller);
    if (block === 0) return GrantStatus.generalError;
    const guestFrame = hostAddress >>> PAGE_SHIFT;
    const readonly = (flags & GNTMAP_READONLY) !== 0;
    switch (this.#guestFrames.enter(block, guestFrame, machineFrame, readonly)) {
      case 'entered':
        return GrantStatus.okay;
      case 'occupied':
        if (this.#isHvmBlock(block)) {
          this.crashed(caller, `mapped a grant over the mapping at guest frame ${guestFrame}`);
        }
        return GrantStatus.generalError;
      default:
        return GrantStatus.generalError;
    }
  }

  unmapHostAddress(caller: number, hostAddress: number, machineFrame: number, flags: number): number {
    const block = this.domains.block(caller);
    const readonly = (flags & GNTMAP_READONLY) !== 0;
    const removed =
      block !== 0 && this.#guestFrames.remove(block, hostAddress >>> PAGE_SHIFT, machineFrame, readonly);
    return removed ? GrantStatus.okay : GrantStatus.generalError;
  }

  replaceHostAddress(
    caller: number,
    hostAddress: number,
    newAddress: number,
    machineFrame: number,
    flags: number,
  ): number {
    const status = this.unmapHostAddress(caller, hostAddress, machineFrame, flags);
    if (status !== GrantStatus.okay || newAddress === 0) return status;
    const block = this.domains.block(caller);
    const moved = this.#guestFrames.move(block, newAddress >>> PAGE_SHIFT, hostAddress >>> PAGE_SHIFT);
    return moved ? GrantStatus.okay : GrantStatus.generalError;
  }

  stealPage(owner: number, guestFrame: number): number {
    const block = this.domains.block(owner);
    const { frames } = this.domains;
    const frame = block === 0 ? NO_PAGE : this.#guestFrames.ramFrame(block, guestFrame);
    if (frame < 0 || frames.references(frame) !== 1) return NO_PAGE;
    if (!frames.clearFlag(frame, FrameFlag.allocated)) return NO_PAGE;
    frames.setFlag(frame, FrameFlag.stolen);
    frames.setOwner(frame, DOMID_INVALID);
    if (this.#isHvmBlock(block)) this.#guestFrames.drop(block, guestFrame, frame);
    this.waitForCopies(owner);
    Atomics.sub(this.words, block + Block.ownedFrames, 1);
    // Somebody mapped it between the look and the theft; it goes when they let go.
    if (frames.references(frame) !== 1) {
      this.domains.releaseReference(frame);
      return LOST;
    }
    return frame;
  }

  reservePage(domid: number): boolean {
    const block = this.domains.block(domid);
    if (block === 0 || this.domains.state(block) === DomainState.dying) return false;
    const { words } = this;
    for (;;) {
      const owned = Atomics.load(words, block + Block.ownedFrames);
      if (owned >= (words[block + Block.maximumFrames] as number)) return false;
      if (Atomics.compareExchange(words, block + Block.ownedFrames, owned, owned + 1) === owned) return true;
    }
  }

  unreservePage(domid: number): void {
    const block = this.domains.block(domid);
    if (block !== 0) this.domains.frameLeft(block);
  }

  assignPage(machineFrame: number, domid: number): boolean {
    if (this.domains.block(domid) === 0 || this.isDying(domid)) return false;
    const { frames } = this.domains;
    frames.clearFlag(machineFrame, FrameFlag.stolen);
    frames.setFlag(machineFrame, FrameFlag.allocated);
    frames.setGuestFrame(machineFrame, this.isHvm(domid) ? -1 : machineFrame);
    frames.setOwner(machineFrame, domid);
    return true;
  }

  addToPhysmap(domid: number, guestFrame: number, machineFrame: number): boolean {
    const block = this.domains.block(domid);
    if (block === 0) return false;
    if (!this.#isHvmBlock(block)) return true;
    return this.#guestFrames.add(block, guestFrame, machineFrame, PhysmapKind.ram) >= 0;
  }

  freeStolenPage(machineFrame: number): void {
    this.domains.frames.clearFlag(machineFrame, FrameFlag.stolen);
    this.domains.releaseReference(machineFrame);
  }

  copy(targetAddress: number, sourceAddress: number, length: number): void {
    this.#copy(targetAddress, sourceAddress, length);
  }

  crashDomain(domid: number, reason: string): void {
    this.crashed(domid, reason);
  }

  #isHvmBlock(block: number): boolean {
    return this.words[block + Block.kind] === DomainKind.hvm;
  }
}
