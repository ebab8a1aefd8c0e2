import { DeviceError } from '@netchannel2/device-registry';
import { FramePool } from '@netchannel2/frames';
import {
  type Domain,
  type DomainId,
  type GrantEntries,
  type GrantPublications,
  type GrantRef,
  type GrantRevocations,
  type LeasedPage,
  PAGE_SIZE,
} from '@netchannel2/xen';
import { GrantRuns } from './grant-runs';
import type { TransmitBuffers } from './transmit-buffers';

/**
 * Pages are granted read-only where they lie, one reference for each request id, for as long as the request is pending.
 * A backend that is not trusted sees only pages of the pool, zeroed before they are filled: a grant shows a whole page.
 */
export class GrantedTransmitBuffers implements TransmitBuffers {
  private readonly pages: (LeasedPage | undefined)[];
  /** What is to be settled, in the order of the revocations. */
  private readonly returnedIds: Int32Array;
  private readonly returnedPages: (LeasedPage | undefined)[] = [];
  private readonly publications: GrantPublications;
  private readonly revocations: GrantRevocations;

  private constructor(
    private readonly peer: DomainId,
    private readonly grants: GrantRuns,
    private readonly pool: FramePool,
    private readonly trusted: boolean,
  ) {
    this.publications = grants.publications;
    this.revocations = grants.revocations;
    this.returnedIds = new Int32Array(grants.refs.length);
    this.pages = grants.refs.map(() => undefined);
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
    const grants = GrantRuns.take(entries, idCount);
    const pool = FramePool.create(domain.memory, copyPages);
    if (pool === undefined) {
      grants.end();
      throw new DeviceError('ENOMEM', `no ${copyPages} adjacent pages for frames to be sent`);
    }
    return new GrantedTransmitBuffers(peer, grants, pool, trusted);
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
    const ref = this.grants.refs[id];
    if (ref === undefined) throw new Error(`request id ${id} has no grant reference`);
    this.publications.addFullPage(ref, this.peer, page.frame, true);
    this.pages[id] = page;
    return ref;
  }

  publish(): void {
    this.publications.publish();
  }

  isLent(id: number): boolean {
    return this.pages[id] !== undefined;
  }

  takeBack(id: number): boolean {
    const page = this.pages[id];
    const ref = this.grants.refs[id];
    if (page === undefined || ref === undefined) return false;
    this.pages[id] = undefined;
    const at = this.revocations.length;
    this.returnedIds[at] = id;
    this.returnedPages[at] = page;
    this.revocations.add(ref);
    return true;
  }

  settle(): boolean {
    const { revocations, returnedPages } = this;
    const count = revocations.length;
    if (count === 0) return true;
    // A backend may answer what it was not shown yet: that must not become visible afterwards.
    if (this.publications.length > 0) this.publications.publish();
    let isFree = true;
    for (let at = 0; at < count; at += 1) {
      const inUse = revocations.revoke(at);
      for (; at < inUse; at += 1) returnedPages[at]?.release();
      if (inUse === count) break;
      isFree = false;
      const page = returnedPages[at];
      this.grants.giveUp(this.returnedIds[at] as number, () => page?.release());
    }
    revocations.clear();
    return isFree;
  }

  close(): void {
    for (let id = 0; id < this.pages.length; id += 1) this.takeBack(id);
    this.settle();
    this.grants.end();
    this.pool.close();
  }
}
