/**
 * Buffers of a domain that cannot write grant entries, as user space of a real host: pages shared with the backend for as
 * long as the connection lives. Bytes are copied in and out, for the backend can change them at any time.
 *
 * @packageDocumentation
 */
import { DeviceError } from '@netchannel2/device-registry';
import { FramePool, PooledPage } from '@netchannel2/frames';
import {
  type Domain,
  type DomainId,
  type DomainMemory,
  type GrantRef,
  type LeasedPage,
  NO_GRANT_REF,
  PAGE_SIZE,
  type SharedPages,
} from '@netchannel2/xen';
import type { PostedBuffers } from './posted-buffers';
import type { TransmitBuffers } from './transmit-buffers';

function share(domain: Domain, peer: DomainId, count: number): SharedPages {
  const pages = domain.grants.share(peer, count, 'readwrite');
  if (pages === undefined)
    throw new DeviceError('ENOMEM', `no ${count} pages can be shared with the backend`);
  return pages;
}

/** Frames to be sent are copied into shared pages; a request names the page its bytes are in. */
export class SharedTransmitBuffers implements TransmitBuffers {
  readonly lendsAnyPage = false;
  private readonly free: PooledPage[] = [];
  private readonly refs = new Map<LeasedPage, GrantRef>();
  private readonly lent: (LeasedPage | undefined)[] = [];

  private constructor(private readonly shared: SharedPages) {
    shared.area.pages.forEach((each, index) => {
      const page = new PooledPage(each, { takeBack: (back) => this.free.push(back) });
      this.free.push(page);
      this.refs.set(page, shared.refs[index] ?? NO_GRANT_REF);
    });
  }

  /** @throws DeviceError when pages or references are short. */
  static create(domain: Domain, peer: DomainId, pageCount: number): SharedTransmitBuffers {
    return new SharedTransmitBuffers(share(domain, peer, pageCount));
  }

  /** References of all pages, which stay the same. */
  get staged(): readonly GrantRef[] {
    return this.shared.refs;
  }

  get capacity(): number {
    return this.shared.refs.length;
  }

  get available(): number {
    return this.free.length;
  }

  take(): LeasedPage | undefined {
    const page = this.free.pop();
    if (page !== undefined) page.leases = 1;
    return page;
  }

  lend(id: number, page: LeasedPage): GrantRef {
    const ref = this.refs.get(page);
    if (ref === undefined) throw new Error('only pages that are shared with the backend can be sent');
    this.lent[id] = page;
    return ref;
  }

  /** Everything is visible from the start. */
  publish(): void {}

  isLent(id: number): boolean {
    return this.lent[id] !== undefined;
  }

  takeBack(id: number): boolean {
    const page = this.lent[id];
    if (page === undefined) return false;
    this.lent[id] = undefined;
    page.release();
    return true;
  }

  /** What is shared for good is not withdrawn. */
  settle(): boolean {
    return true;
  }

  close(): void {
    this.lent.length = 0;
    this.free.length = 0;
    this.shared.end();
  }
}

/** A shared page for each slot of an RX ring; what comes in them is copied into a page of a pool. */
export class SharedReceiveBuffers implements PostedBuffers {
  private posted = 0;

  private constructor(
    private readonly memory: DomainMemory,
    private readonly shared: SharedPages,
    private readonly pool: FramePool,
  ) {}

  /** @throws DeviceError when memory or references are short. */
  static create(domain: Domain, peer: DomainId, slotCount: number, pageCount: number): SharedReceiveBuffers {
    const shared = share(domain, peer, slotCount);
    const pool = FramePool.create(domain.memory, pageCount);
    if (pool !== undefined) return new SharedReceiveBuffers(domain.memory, shared, pool);
    shared.end();
    throw new DeviceError('ENOMEM', `no ${pageCount} adjacent pages for received frames`);
  }

  /** References of all pages, which stay the same. */
  get staged(): readonly GrantRef[] {
    return this.shared.refs;
  }

  /** Posts no more than there are pages to copy into, so that none is missing when the answers come. */
  post(slot: number): GrantRef {
    const ref = this.shared.refs[slot];
    if (ref === undefined || this.posted >= this.pool.available) return NO_GRANT_REF;
    this.posted += 1;
    return ref;
  }

  /** Everything is visible from the start, and stays so. */
  publish(): void {}
  withdraw(): void {}

  collect(slot: number): LeasedPage | undefined {
    this.posted -= 1;
    const source = this.shared.area.pages[slot];
    const page = this.pool.take();
    if (source !== undefined && page !== undefined) this.memory.copy(page, 0, source, 0, PAGE_SIZE);
    return page;
  }

  close(): void {
    this.shared.end();
    this.pool.close();
  }
}
