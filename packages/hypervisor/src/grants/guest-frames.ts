/**
 * A domain's guest-physical address space: which machine frame a guest frame names, and the window of guest frames that
 * hold grant mappings. A PV domain's guest frames are machine frames, so it has a table for the window only.
 */
import {
  Block,
  DomainKind,
  PHYSMAP_FRAME_MASK,
  PHYSMAP_KIND_SHIFT,
  PhysmapKind,
  XEN_FRAMES_GAP,
} from '../domains/domain-block';
import type { DomainTable } from '../domains/domain-table';

const NO_SLOT = -1;

export class GuestFrames {
  readonly #words: Int32Array;

  constructor(private readonly domains: DomainTable) {
    this.#words = domains.words;
  }

  /** The own RAM page behind a guest frame, -1 if there is none. */
  ramFrame(block: number, guestFrame: number): number {
    const words = this.#words;
    if (words[block + Block.memoryReleased] !== 0) return -1;
    let frame = guestFrame;
    if (words[block + Block.kind] === DomainKind.hvm) {
      const slot = this.#slot(block, guestFrame);
      if (slot === NO_SLOT) return -1;
      const entry = Atomics.load(words, slot);
      if (entry >>> PHYSMAP_KIND_SHIFT !== PhysmapKind.ram) return -1;
      frame = entry & PHYSMAP_FRAME_MASK;
    }
    return this.domains.frames.owner(frame) === words[block + Block.domid] ? frame : -1;
  }

  /**
   * Enters a grant mapping.
   *
   * A PV domain's page table forgets a mapping that lay there: its handle stays, and its unmap finds nothing.
   *
   * @returns `occupied` when there is something that may not be replaced, for an HVM domain also a grant mapping;
   * `outside` when there is no such guest frame.
   */
  enter(
    block: number,
    guestFrame: number,
    frame: number,
    readonly: boolean,
  ): 'entered' | 'occupied' | 'outside' {
    const words = this.#words;
    const slot = this.#slot(block, guestFrame);
    if (slot === NO_SLOT) return 'outside';
    const entry = frame | (grantKind(readonly) << PHYSMAP_KIND_SHIFT);
    const before = Atomics.load(words, slot);
    // An HVM domain's own page loses its address to the mapping, silently.
    const replaceable =
      before === 0 ||
      (words[block + Block.kind] === DomainKind.hvm
        ? before >>> PHYSMAP_KIND_SHIFT === PhysmapKind.ram
        : isGrant(before));
    if (!replaceable) return 'occupied';
    return Atomics.compareExchange(words, slot, before, entry) === before ? 'entered' : 'occupied';
  }

  /**
   * Removes the grant mapping of exactly this frame, for a PV domain of this access too; false, nothing done, when another
   * or none lies there.
   */
  remove(block: number, guestFrame: number, frame: number, readonly: boolean): boolean {
    const words = this.#words;
    const slot = this.#slot(block, guestFrame);
    if (slot === NO_SLOT) return false;
    const entry = Atomics.load(words, slot);
    if (!isGrant(entry) || (entry & PHYSMAP_FRAME_MASK) !== frame) return false;
    const accessCounts = words[block + Block.kind] !== DomainKind.hvm;
    if (accessCounts && entry >>> PHYSMAP_KIND_SHIFT !== grantKind(readonly)) return false;
    return Atomics.compareExchange(words, slot, entry, 0) === entry;
  }

  /** Moves the mapping at one guest frame to another, empty one; false when there is nothing to move or no room. */
  move(block: number, from: number, to: number): boolean {
    const source = this.#slot(block, from);
    const target = this.#slot(block, to);
    if (source === NO_SLOT || target === NO_SLOT) return false;
    const entry = Atomics.exchange(this.#words, source, 0);
    if (entry === 0) return false;
    return Atomics.compareExchange(this.#words, target, 0, entry) === 0;
  }

  /** Gives a page an address: a page of Xen's or a transferred one, at `guestFrame` or, with -1, at the first free one. */
  add(block: number, guestFrame: number, frame: number, kind: number): number {
    const words = this.#words;
    const base = words[block + Block.physmapBase] as number;
    const windowBase = words[block + Block.windowBase] as number;
    const first = guestFrame < 0 ? Math.max(base, windowBase - XEN_FRAMES_GAP) : guestFrame;
    const last = guestFrame < 0 ? windowBase - 1 : guestFrame;
    for (let candidate = first; candidate <= last; candidate++) {
      const slot = this.#slot(block, candidate);
      if (slot === NO_SLOT) return -1;
      if (Atomics.compareExchange(words, slot, 0, frame | (kind << PHYSMAP_KIND_SHIFT)) === 0) {
        this.domains.frames.setGuestFrame(frame, candidate);
        return candidate;
      }
    }
    return -1;
  }

  /** Empties a guest frame that names `frame`. */
  drop(block: number, guestFrame: number, frame: number): void {
    const slot = this.#slot(block, guestFrame);
    if (slot === NO_SLOT) return;
    const entry = Atomics.load(this.#words, slot);
    if ((entry & PHYSMAP_FRAME_MASK) === frame) Atomics.compareExchange(this.#words, slot, entry, 0);
  }

  #slot(block: number, guestFrame: number): number {
    const index = guestFrame - (this.#words[block + Block.physmapBase] as number);
    if (index < 0 || index >= (this.#words[block + Block.physmapLength] as number)) return NO_SLOT;
    return (this.#words[block + Block.physmap] as number) + index;
  }
}

function grantKind(readonly: boolean): number {
  return readonly ? PhysmapKind.grantReadonly : PhysmapKind.grantWritable;
}

function isGrant(entry: number): boolean {
  const kind = entry >>> PHYSMAP_KIND_SHIFT;
  return kind === PhysmapKind.grantWritable || kind === PhysmapKind.grantReadonly;
}
