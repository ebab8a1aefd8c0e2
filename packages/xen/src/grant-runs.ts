/**
 * Entries of a domain's own grant table that change together: one call makes a run of grants live, or withdraws it.
 *
 * @packageDocumentation
 */
import type { DomainId, GrantRef, GuestFrame } from './ids';
import type { MemoryArea } from './memory';

/** What both kinds of run have. Allocated once and reused: adding and carrying out allocate nothing. */
export interface GrantRun {
  readonly capacity: number;
  /**
   * Where the entries lie, for code that writes them there itself, from models, and then calls {@link append}; `undefined`
   * where they lie elsewhere.
   */
  readonly list?: MemoryArea | undefined;
  /** Entries added since the run was last carried out or cleared. */
  readonly length: number;
  /** Takes `count` entries in that were written behind the last one. Only where there is a {@link list}. */
  append?(count: number): void;
  /** Forgets what was added. */
  clear(): void;
  /** Gives the run's memory back; it is not used any more. */
  end(): void;
}

/**
 * Grants that become live together. The caller checks `length < capacity` before it adds, and publishes before it tells the
 * peer of any of them.
 */
export interface GrantPublications extends GrantRun {
  /** As `GrantEntries.publishFullPage`. */
  addFullPage(ref: GrantRef, peer: DomainId, frame: GuestFrame, readonly: boolean): void;
  /** As `GrantEntries.publishSubPage`. */
  addSubPage(
    ref: GrantRef,
    peer: DomainId,
    frame: GuestFrame,
    offset: number,
    length: number,
    readonly: boolean,
  ): void;
  /** As `GrantEntries.publishTransitive`. */
  addTransitive(ref: GrantRef, peer: DomainId, owner: DomainId, ownerRef: GrantRef, readonly: boolean): void;
  /**
   * The entry of {@link addSubPage} but for what differs from grant to grant, as four words at `(words, at)`: the second is to
   * become `offset | length << 16`, the third the frame. It holds as long as the reference is the caller's. Only where there is
   * a {@link list}.
   */
  modelSubPage?(ref: GrantRef, peer: DomainId, readonly: boolean, words: Int32Array, at: number): void;
  /**
   * As {@link modelSubPage} for {@link addTransitive}: the second word is to become the owner, the third the owner's reference. It
   * differs from the other model in its last word alone.
   */
  modelTransitive?(ref: GrantRef, peer: DomainId, readonly: boolean, words: Int32Array, at: number): void;
  /** Makes all of them live, to be seen by whoever sees the next atomic store of this thread; the run is empty then. */
  publish(): void;
}

/** Grants that are withdrawn together. */
export interface GrantRevocations extends GrantRun {
  add(ref: GrantRef): void;
  /** The entry of {@link add}, as two words at `(words, at)`; as `GrantPublications.modelSubPage`. */
  model?(ref: GrantRef, words: Int32Array, at: number): void;
  /**
   * Revokes from number `first` on, in order, each as `GrantEntries.revoke` does.
   *
   * @returns the number of the first that a peer still uses, {@link length} when all were revoked. Those behind it are to
   * be asked for again: `revoke(answer + 1)`.
   */
  revoke(first: number): number;
}
