import type { WasmMemory } from '../../machine/webassembly';

/** Words of shared memory by which a test of races and its guests know how far each is. */
export const RaceControl = {
  /** 1 ends the guest's work, 2 also a revoke that waits. */
  stop: 0,
  /** Cycles the guest is through with. */
  cycles: 1,
  /** Which of the guest's references is live, by its place. */
  live: 2,
  /** Uses dom0 got through. */
  uses: 3,
} as const;

/**
 * A side that gets no further lets the other run after so many tries: where the two share a processor with others, it may be
 * the other's turn.
 */
const TRIES = 500;
const PAUSE_MILLISECONDS = 0.1;

/** How long one side has been trying in vain. */
export class RacePatience {
  #tries = 0;
  #seen = 0;

  /** @param index of a word that changes when the other side gets further. */
  constructor(
    private readonly words: Int32Array,
    private readonly index: number,
  ) {}

  /** One more try. */
  tried(): void {
    const value = Atomics.load(this.words, this.index);
    if (value !== this.#seen) this.#tries = 0;
    this.#seen = value;
    if (++this.#tries < TRIES) return;
    this.#tries = 0;
    Atomics.wait(this.words, this.index, value, PAUSE_MILLISECONDS);
  }
}

/** What the guest counted. */
export interface RaceTally {
  cycles: number;
  flips: number;
  revokedInUse: number;
  writesAfterRevoke: number;
  /** Revokes answered "in use" whose entry was valid still. */
  shownValid: number;
  /** Such revokes whose entry was not as its version says. */
  broken: number;
}

/** Where an entry lies: indices of its header among words and of its status, in version 2, among 16-bit words. */
export interface EntryPlace {
  readonly ref: number;
  readonly word: number;
  readonly status: number;
}

/** What `forwarding.test.ts` starts its guests with. */
export interface ForwardingTask {
  readonly memory: WasmMemory;
  /** Word index of {@link RaceControl}. */
  readonly control: number;
  /** The middle's transitive entry, and the sender's it may lead to. */
  readonly outer: EntryPlace;
  readonly inner: readonly EntryPlace[];
  readonly pages: readonly { readonly word: number; readonly frame: number }[];
  readonly innerVersion: 1 | 2;
  /** Headers of the entries when they are published. */
  readonly innerHeader: number;
  readonly outerHeader: number;
  readonly sender: number;
  /** What nobody may read. */
  readonly secret: number;
}

export interface ForwardingTally {
  cycles: number;
  flips: number;
  revokedInUse: number;
}
