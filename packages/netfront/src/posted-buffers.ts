import type { GrantRef, LeasedPage } from '@netchannel2/xen';

/**
 * The buffers posted on an RX ring, identified by slot as the protocol does. Two ways exist: a domain that writes its own
 * grant entries grants a page of its pool while it is posted; one that cannot posts pages that are shared for good, and copies.
 */
export interface PostedBuffers {
  /** Posts a page in `slot`, from the next `publish` on; {@link NO_GRANT_REF} when all pages are posted or retained. */
  post(slot: number): GrantRef;
  /** Makes visible what was posted since; done before requests are published. */
  publish(): void;
  /** Takes the pages of `count` slots, from `first` on, out of the backend's reach at once; each is collected afterwards. */
  withdraw(first: number, count: number): void;
  /**
   * Ends what `post` began and hands a page with the bytes, and its lease, to the caller.
   *
   * @returns `undefined` when the backend still uses the page: it stays out of circulation until the backend lets go.
   */
  collect(slot: number): LeasedPage | undefined;
  /** Takes every posted page back; those in use follow when their use ends, retained ones when they are released. */
  close(): void;
}
