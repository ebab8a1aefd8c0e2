import { DeviceError } from '@netchannel2/device-registry';
import { FramePool } from '@netchannel2/frames';
import {
  type Domain,
  type DomainId,
  type GrantEntries,
  type GrantRef,
  type LeasedPage,
  PAGE_SIZE,
} from '@netchannel2/xen';
import { takeGrantRefs } from './grant-refs';
import type { TransmitBuffers } from './transmit-buffers';

/**
 * Pages are granted read-only where they lie, one reference for each request id, for as long as the request is pending.
 * A backend that is not trusted sees only pages of the pool, zeroed before they are filled: a grant shows a whole page.
 */
export class GrantedTransmitBuffers implements TransmitBuffers {
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
    idCount: number,
    copyPages: number,
    trusted: boolean,
  ): GrantedTransmitBuffers {
    const refs = takeGrantRefs(entries, idCount);
    const pool = FramePool.create(domain.memory, copyPages);
    if (pool === undefined) {
      for (const ref of refs) entries.free(ref);
      throw new DeviceError('ENOMEM', `no ${copyPages} adjacent pages for frames to be sent`);
    }
    return new GrantedTransmitBuffers(entries, peer, refs, pool, trusted);
  }

  get lendsAnyPage(): boolean {
    return this.trusted;
  }

  get capacity(): number {
    return this.pool.capacity;
  }

  get available(): number {
    return this.pool.available;
  }

  take(): LeasedPage | undefined {
    const page = this.pool.take();
    if (page !== undefined && !this.trusted) page.bytes.fill(0, page.base, page.base + PAGE_SIZE);
    return page;
  }

  lend(id: number, page: LeasedPage): GrantRef {
    const ref = this.refs[id];
    if (ref === undefined) throw new Error(`request id ${id} has no grant reference`);
    this.entries.publishFullPage(ref, this.peer, page.frame, true);
    this.pages[id] = page;
    return ref;
  }

  isLent(id: number): boolean {
    return this.pages[id] !== undefined;
  }

  takeBack(id: number): boolean {
    const ref = this.refs[id];
    const page = this.pages[id];
    if (ref === undefined || page === undefined) return true;
    this.pages[id] = undefined;
    if (this.entries.revoke(ref)) {
      page.release();
      return true;
    }
    this.refs[id] = undefined;
    this.entries.revokeDeferred(ref, () => page.release());
    return false;
  }

  close(): void {
    for (let id = 0; id < this.refs.length; id += 1) {
      this.takeBack(id);
      const ref = this.refs[id];
      if (ref !== undefined) this.entries.free(ref);
      this.refs[id] = undefined;
    }
    this.pool.close();
  }
}
