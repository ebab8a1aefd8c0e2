import type { CopyPages } from '@netchannel2/frames';
import type { GrantRef, LeasedPage } from '@netchannel2/xen';

/**
 * How bytes to be sent become visible to the backend. Two ways exist: a domain that writes its own grant entries shows a
 * frame's pages where they lie; one that cannot copies into pages that are shared for good.
 */
export interface TransmitBuffers extends CopyPages {
  /** Whether any page of this domain can be shown; if not, only pages from `take`. */
  readonly lendsAnyPage: boolean;
  /** Pages `take` can have out at a time. */
  readonly capacity: number;
  /** Pages `take` has left. */
  readonly available: number;
  /** A page to copy bytes into, with one lease. */
  take(): LeasedPage | undefined;
  /** Shows `page` to the backend for request `id`, and takes over one lease of it. */
  lend(id: number, page: LeasedPage): GrantRef;
  /** Whether request `id` has a page out. */
  isLent(id: number): boolean;
  /**
   * Ends what `lend` began.
   *
   * @returns `false` when the backend still uses the page: it and its reference stay out of circulation until it lets go.
   */
  takeBack(id: number): boolean;
  /** Takes everything back. Pages in use follow when their use ends. */
  close(): void;
}
