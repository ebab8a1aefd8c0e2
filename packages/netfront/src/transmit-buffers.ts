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
  /** Shows `page` to the backend for request `id` from the next `publish` on, and takes over one lease of it. */
  lend(id: number, page: LeasedPage): GrantRef;
  /** Makes visible what was lent since; done before requests are published. */
  publish(): void;
  /** Whether request `id` has a page out. */
  isLent(id: number): boolean;
  /** Notes that what `lend` began is to end, with the next `settle`. Answers whether request `id` had a page out. */
  takeBack(id: number): boolean;
  /**
   * Ends what was taken back.
   *
   * @returns `false` when the backend still uses a page: it and its reference stay out of circulation until it lets go.
   */
  settle(): boolean;
  /** Takes everything back. Pages in use follow when their use ends. */
  close(): void;
}
