import { HeadView } from '@netchannel2/frames';
import type { LeasedPage } from '@netchannel2/xen';

/** Bytes of a packet that are copied to take a decision (spec vif.md §2). */
export const PEEK_BYTES = 128;

/** The first bytes of a packet, a private copy in a page of ours that a taker may lease. One object is reused. */
export class PeekedHead extends HeadView {
  /** @param page some page, replaced by {@link show}. */
  constructor(public page: LeasedPage) {
    super(page);
  }

  show(page: LeasedPage, offset: number, length: number): void {
    this.page = page;
    this.area = page;
    this.load(offset, length);
  }
}
