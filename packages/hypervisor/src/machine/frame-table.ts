/**
 * Who owns each machine frame and how often it is referenced. Four words an entry, in shared memory.
 *
 * A frame is allocated with one reference, its owner's. Mappings add theirs. It becomes free when the last one goes,
 * which may be long after its owner began to die.
 */
import { FRAME_ENTRY_SHIFT, HEADER, type MachineMemory } from './machine-memory';

const OWNER = 0;
const REFERENCES = 1;
const GUEST_FRAME = 2;
const FLAGS = 3;

/** Frame flags. */
export const FrameFlag = {
  /** The owner's own reference is still there. */
  allocated: 1,
  /** Taken from its owner by a transfer; belongs to nobody. */
  stolen: 2,
  /** Was somebody's before: has to be zeroed. A frame never used is zero, and the host has not spent memory on it. */
  used: 4,
} as const;

const NOBODY = -1;

export class FrameTable {
  readonly #words: Int32Array;
  readonly #table: number;
  readonly #frameCount: number;

  constructor(memory: MachineMemory) {
    this.#words = memory.words;
    this.#table = memory.frameTable;
    this.#frameCount = memory.frameCount;
  }

  /** The owning domain's id (DOMID_XEN for Xen's own), -1 for a free frame or a number that is none. */
  owner(frame: number): number {
    if (frame < 0 || frame >= this.#frameCount) return NOBODY;
    // Stored plus one, so that the table starts out as "all free".
    return (this.#words[this.#table + (frame << FRAME_ENTRY_SHIFT) + OWNER] as number) - 1;
  }

  setOwner(frame: number, domid: number): void {
    Atomics.store(this.#words, this.#entry(frame) + OWNER, domid + 1);
  }

  /** The guest frame number an HVM owner knows the frame by. */
  guestFrame(frame: number): number {
    return this.#words[this.#entry(frame) + GUEST_FRAME] as number;
  }

  setGuestFrame(frame: number, guestFrame: number): void {
    this.#words[this.#entry(frame) + GUEST_FRAME] = guestFrame;
  }

  references(frame: number): number {
    return Atomics.load(this.#words, this.#entry(frame) + REFERENCES);
  }

  /**
   * Claims a free frame with its owner's reference. The caller holds the heap lock.
   *
   * @returns whether the frame may hold bytes of an earlier owner.
   */
  claim(frame: number, owner: number): boolean {
    const entry = this.#entry(frame);
    const used = (Atomics.load(this.#words, entry + FLAGS) & FrameFlag.used) !== 0;
    this.#words[entry + GUEST_FRAME] = -1;
    Atomics.store(this.#words, entry + FLAGS, FrameFlag.allocated | FrameFlag.used);
    Atomics.store(this.#words, entry + REFERENCES, 1);
    Atomics.store(this.#words, entry + OWNER, owner + 1);
    return used;
  }

  /** Takes a reference; false when the frame is not `owner`'s. Never revives a frame whose last reference has gone. */
  acquire(frame: number, owner: number): boolean {
    if (this.owner(frame) !== owner) return false;
    const entry = this.#entry(frame);
    const references = entry + REFERENCES;
    let count = Atomics.load(this.#words, references);
    while (count > 0) {
      const found = Atomics.compareExchange(this.#words, references, count, count + 1);
      if (found === count) break;
      count = found;
    }
    if (count <= 0) return false;
    // The frame may have changed hands before the reference was taken; now it cannot any more.
    if (Atomics.load(this.#words, entry + OWNER) === owner + 1) return true;
    this.drop(frame);
    return false;
  }

  /** Drops a reference; true when it was the last and the caller has to give the frame back to the heap. */
  drop(frame: number): boolean {
    return Atomics.sub(this.#words, this.#entry(frame) + REFERENCES, 1) === 1;
  }

  /** Clears the owner's mark; true for the one caller that may drop the owner's reference. */
  clearFlag(frame: number, flag: number): boolean {
    return (Atomics.and(this.#words, this.#entry(frame) + FLAGS, ~flag) & flag) !== 0;
  }

  setFlag(frame: number, flag: number): void {
    Atomics.or(this.#words, this.#entry(frame) + FLAGS, flag);
  }

  hasFlag(frame: number, flag: number): boolean {
    return (Atomics.load(this.#words, this.#entry(frame) + FLAGS) & flag) !== 0;
  }

  #entry(frame: number): number {
    return this.#table + (frame << FRAME_ENTRY_SHIFT);
  }
}

/** Frames nobody owns. */
export function freeFrameCount(memory: MachineMemory): number {
  return Atomics.load(memory.words, HEADER.freeFrames);
}
