/**
 * The granting side: what a domain lets others do with its pages.
 *
 * @packageDocumentation
 */
import type { GrantPublications, GrantRevocations } from './grant-runs';
import type { DomainId, GrantRef, GuestFrame } from './ids';
import type { PageArea } from './memory';

export type GrantTableVersion = 1 | 2;

/** Pages of this domain, each granted whole to one other domain for as long as they are shared. */
export interface SharedPages {
  readonly area: PageArea;
  /** One reference per page, in order. */
  readonly refs: readonly GrantRef[];
  /**
   * Stops sharing. Pages whose grant is still in use by the peer are kept out of circulation, with their references,
   * until the use ends; they are never reused early.
   *
   * @returns how many pages were still in use; always 0 where the domain cannot learn it (`capabilities.revokeResult`).
   */
  end(): number;
}

/**
 * This domain's grant table. `share` works everywhere; `entries` only where the domain writes its own entries, which a
 * user-space process on a real host cannot.
 */
export interface GrantTable {
  readonly version: GrantTableVersion;
  /** References not in use by anybody in this domain. */
  readonly freeRefs: number;
  /**
   * Allocates adjacent zeroed pages and grants each to `peer`.
   *
   * @param access `readonly` lets the peer only read.
   * @returns `undefined` when pages or references are exhausted.
   */
  share(peer: DomainId, pageCount: number, access: GrantAccess): SharedPages | undefined;
  /** Direct control of entries; `undefined` where the platform has none. */
  readonly entries: GrantEntries | undefined;
}

export type GrantAccess = 'readonly' | 'readwrite';

/**
 * Entries of this domain's own table. Publishing and revoking are plain memory writes, no hypercall: they are the hot
 * path and allocate nothing. Arguments are this domain's own; references must come from `allocate`.
 */
export interface GrantEntries {
  /** Sub-page and transitive entries exist (the table is version 2). */
  readonly version2: boolean;
  /** Takes a free reference, O(1); `NO_GRANT_REF` when there is none. */
  allocate(): GrantRef;
  /** Gives back a reference that holds no entry. */
  free(ref: GrantRef): void;
  /** `GTF_permit_access` for a whole page. */
  publishFullPage(ref: GrantRef, peer: DomainId, frame: GuestFrame, readonly: boolean): void;
  /** `GTF_sub_page`: `peer` may copy (never map) bytes `[offset, offset + length)`. Version 2 only. */
  publishSubPage(
    ref: GrantRef,
    peer: DomainId,
    frame: GuestFrame,
    offset: number,
    length: number,
    readonly: boolean,
  ): void;
  /** `GTF_transitive`: `peer` may copy through to `ownerRef` of `owner`, which names this domain. Version 2 only. */
  publishTransitive(
    ref: GrantRef,
    peer: DomainId,
    owner: DomainId,
    ownerRef: GrantRef,
    readonly: boolean,
  ): void;
  /**
   * Ends a grant. Only this answer may be trusted before page or reference are reused.
   *
   * @returns `false` while a peer still uses it: version 1 leaves the entry valid, version 2 has already invalidated it
   * but page and reference must stay reserved (spec grant-tables.md §5.2).
   */
  revoke(ref: GrantRef): boolean;
  /** A run of grants to be published by one call; `undefined` when the domain has no memory left for it. */
  createPublications(capacity: number): GrantPublications | undefined;
  /** A run of grants to be revoked by one call; `undefined` when the domain has no memory left for it. */
  createRevocations(capacity: number): GrantRevocations | undefined;
  /** Whether a peer uses the grant right now; a hint only. */
  inUse(ref: GrantRef): boolean;
  /**
   * Calls back, once, when `count` references are free: at once if they are, else when enough were given back. Who asked
   * first is served first.
   *
   * @returns ends the wait.
   */
  whenFree(count: number, served: () => void): () => void;
  /** What this table did since the domain started. */
  readonly statistics: GrantStatistics;
  /**
   * Revokes as soon as the peer lets go, then frees the reference and calls `ended`. For grants that `revoke` reported
   * in use: retried in the background, never given up while the domain lives.
   */
  revokeDeferred(ref: GrantRef, ended?: () => void): void;
}

/** What a domain's own grant table did. Counters only grow; the rest is as of now. */
export interface GrantStatistics {
  readonly published: number;
  readonly revoked: number;
  /** Revocations answered "in use". */
  readonly inUseAnswers: number;
  /** Grants that wait for their peer to let go, now. */
  readonly deferred: number;
  /** Grants that had to wait and ended. */
  readonly deferredEnded: number;
  /** Allocations refused because no reference was left. */
  readonly exhausted: number;
  /** References given out, now. */
  readonly allocatedRefs: number;
  /** References not given out, now; those of frames the table can still grow by included. */
  readonly freeRefs: number;
}
