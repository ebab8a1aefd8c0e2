/**
 * The granted side: reaching pages other domains granted to this one.
 *
 * @packageDocumentation
 */

import type { GrantStatus } from './grant-status';
import type { GrantAccess } from './grant-table';
import type { DomainId, GrantRef } from './ids';
import type { MemoryArea, PageArea } from './memory';

/** Granted pages of another domain, mapped side by side. */
export interface MappedPages {
  readonly owner: DomainId;
  readonly area: PageArea;
  /** Removes the mapping; the area reads as empty afterwards. Idempotent. */
  unmap(): void;
}

/**
 * A batch of grant copies, filled element by element and carried out by one hypercall (`GNTTABOP_copy`). It is
 * allocated once and reused; adding, submitting and reading statuses allocate nothing.
 *
 * Neither side of an element may cross a page border.
 */
export interface GrantCopyBatch {
  readonly capacity: number;
  /**
   * Where the elements lie, as `struct gnttab_copy`, for code that writes them there itself and then calls {@link append};
   * `undefined` where they lie elsewhere.
   */
  readonly elements?: MemoryArea | undefined;
  /** Elements added since the last `clear`. */
  readonly length: number;
  /** Adds a copy out of a grant of `owner` into this domain's own memory. The caller checks `length < capacity`. */
  addFromGrant(
    owner: DomainId,
    ref: GrantRef,
    offset: number,
    target: MemoryArea,
    targetOffset: number,
    length: number,
  ): void;
  /** Adds a copy from this domain's own memory into a grant of `owner`. */
  addToGrant(
    source: MemoryArea,
    sourceOffset: number,
    owner: DomainId,
    ref: GrantRef,
    offset: number,
    length: number,
  ): void;
  /** Adds a copy from one domain's grant straight into another's; both entries must name this domain. */
  addBetweenGrants(
    sourceOwner: DomainId,
    sourceRef: GrantRef,
    sourceOffset: number,
    targetOwner: DomainId,
    targetRef: GrantRef,
    targetOffset: number,
    length: number,
  ): void;
  /** Takes `count` elements in that were written behind the last one. Only where there are {@link elements}. */
  append?(count: number): void;
  /** Carries out all elements. */
  submit(): void;
  /** Status of element `index` after `submit`: each element succeeds or fails alone. */
  status(index: number): GrantStatus;
  /** Empties the batch for reuse. */
  clear(): void;
}

export interface ForeignMemory {
  /**
   * Maps full-page grants of `owner` as one adjacent area, all or nothing.
   *
   * @returns the status of the first reference that failed otherwise. The simulated Xen has no page tables and
   * answers `GNTST_general_error` when the granted frames of a multi-page area are not adjacent in machine memory;
   * pages from one `DomainMemory.allocate` always are.
   */
  map(owner: DomainId, refs: readonly GrantRef[], access: GrantAccess): MappedPages | GrantStatus;
  /** @param capacity elements, 1 … 512. */
  createCopyBatch(capacity: number): GrantCopyBatch;
}
