import { DeviceError } from '@netchannel2/device-registry';
import { FramePool } from '@netchannel2/frames';
import {
  type Domain,
  type DomainId,
  type GrantEntries,
  type GrantRef,
  type LeasedPage,
  NO_GRANT_REF,
  PAGE_SIZE,
} from '@netchannel2/xen';
import { takeGrantRefs } from './grant-refs';
import type { PostedBuffers } from './posted-buffers';

/**
 * A page of the pool for each posted buffer, granted writable while it is posted. For a backend that is not trusted pages are zeroed first: they may hold frames of others.
 */
export class ReceiveBuffers implements PostedBuffers {
  private readonly pages: (LeasedPage | undefined)[];

  private constructor(
    private readonly entries: GrantEntries,
    private readonly peer: DomainId,
    private readonly refs: (GrantRef | undefined)[],
    private readonly pool: FramePool,
    private readonly trusted: boolean,
  ) {
    this.pages = refs.map(() => undefined);
  }

  /** @throws DeviceError when memory or references are short. */
  static create(
    domain: Domain,
    entries: GrantEntries,
    peer: DomainId,
    slotCount: number,
    pageCount: number,
    trusted: boolean,
  ): ReceiveBuffers {
    const refs = takeGrantRefs(entries, slotCount);
    const pool = FramePool.create(domain.memory, pageCount);
    if (pool === undefined) {
      for (const ref of refs) entries.free(ref);
      throw new DeviceError('ENOMEM', `no ${pageCount} adjacent pages for received frames`);
    }
    return new ReceiveBuffers(entries, peer, refs, pool, trusted);
  }

  post(slot: number): GrantRef {
    const ref = this.refs[slot];
    const page = this.pool.take();
    if (page === undefined || ref === undefined) {
      page?.release();
      return NO_GRANT_REF;
    }
    if (!this.trusted) page.bytes.fill(0, page.base, page.base + PAGE_SIZE);
    this.entries.publishFullPage(ref, this.peer, page.frame, false);
    this.pages[slot] = page;
    return ref;
  }

  collect(slot: number): LeasedPage | undefined {
    const ref = this.refs[slot];
    const page = this.pages[slot];
    if (ref === undefined || page === undefined) return undefined;
    this.pages[slot] = undefined;
    if (this.entries.revoke(ref)) return page;
    this.refs[slot] = undefined;
    this.entries.revokeDeferred(ref, () => page.release());
    return undefined;
  }

  close(): void {
    for (let slot = 0; slot < this.refs.length; slot += 1) {
      this.collect(slot)?.release();
      const ref = this.refs[slot];
      if (ref !== undefined) this.entries.free(ref);
      this.refs[slot] = undefined;
    }
    this.pool.close();
  }
}
