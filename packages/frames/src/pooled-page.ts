import type { GuestFrame, LeasedPage, Page } from '@netchannel2/xen';

/** Where a page goes when its last lease ends. */
export interface PageHome {
  takeBack(page: PooledPage): void;
}

/** A page of a pool. `leases` counts its holders; the pool holds none while the page is lent. */
export class PooledPage implements LeasedPage {
  // First, so that they lie side by side: what sending and receiving ask for.
  leases = 0;
  readonly base: number;
  readonly frame: GuestFrame;
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly byteLength: number;
  private readonly home: PageHome;

  constructor(page: Page, home: PageHome) {
    this.base = page.base;
    this.frame = page.frame;
    this.bytes = page.bytes;
    this.words = page.words;
    this.byteLength = page.byteLength;
    this.home = home;
  }

  acquire(): void {
    if (this.leases === 0)
      throw new Error('page acquired after its last lease ended: retain the frame while it is valid');
    this.leases += 1;
  }

  release(): void {
    if (this.leases === 0) throw new Error('page released more often than it was acquired');
    this.leases -= 1;
    if (this.leases === 0) this.home.takeBack(this);
  }
}
