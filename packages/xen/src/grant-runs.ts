/**
 * Entries of a domain's own grant table that change together: one call makes a run of grants live, or withdraws it.
 *
 * @packageDocumentation
 */
import type { DomainId, GrantRef, GuestFrame } from './ids';

/** What both kinds of run have. Allocated once and reused: adding and carrying out allocate nothing. */
export interface GrantRun {
  readonly capacity: number;
  /** Entries added since the run was last carried out or cleared. */
  readonly length: number;
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
  /** Makes all of them live, to be seen by whoever sees the next atomic store of this thread; the run is empty then. */
  publish(): void;
}

/** Grants that are withdrawn together. */
export interface GrantRevocations extends GrantRun {
  add(ref: GrantRef): void;
  /**
   * Revokes from number `first` on, in order, each as `GrantEntries.revoke` does.
   *
   * @returns the number of the first that a peer still uses, {@link length} when all were revoked. Those behind it are to
   * be asked for again: `revoke(answer + 1)`.
   */
  revoke(first: number): number;
}
