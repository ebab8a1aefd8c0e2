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
  NO_GRANT_REF,
  PAGE_SIZE,
} from '@netchannel2/xen';
import { GrantRuns } from './grant-runs';
import type { PostedBuffers } from './posted-buffers';

/**
 * A page of the pool for each posted buffer, granted writable while it is posted. For a backend that is not trusted pages
 * are zeroed first: they may hold frames of others.
 */
export class ReceiveBuffers implements PostedBuffers {
  private readonly pages: (LeasedPage | undefined)[];
  /** By slot: 1 once its page is out of the backend's reach. */
  private readonly withdrawn: Uint8Array;
  /** Slots being withdrawn, in the order of the revocations. */
  private readonly slots: Int32Array;
  private readonly publications: GrantPublications;
  private readonly revocations: GrantRevocations;

  private constructor(
    private readonly peer: DomainId,
    private readonly grants: GrantRuns,
    private readonly pool: FramePool,
    private readonly trusted: boolean,
  ) {
    const { refs } = grants;
    this.publications = grants.publications;
    this.revocations = grants.revocations;
    this.withdrawn = new Uint8Array(refs.length);
    this.slots = new Int32Array(refs.length);
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
    const grants = GrantRuns.take(entries, slotCount);
    const pool = FramePool.create(domain.memory, pageCount);
    if (pool === undefined) {
      grants.end();
      throw new DeviceError('ENOMEM', `no ${pageCount} adjacent pages for received frames`);
    }
    return new ReceiveBuffers(peer, grants, pool, trusted);
  }

  post(slot: number): GrantRef {
    const ref = this.grants.refs[slot];
    if (ref === undefined) return NO_GRANT_REF;
    const page = this.pool.take();
    if (page === undefined) return NO_GRANT_REF;
    if (!this.trusted) page.bytes.fill(0, page.base, page.base + PAGE_SIZE);
    this.publications.addFullPage(ref, this.peer, page.frame, false);
    this.pages[slot] = page;
    return ref;
  }

  publish(): void {
    this.publications.publish();
  }

  withdraw(first: number, count: number): void {
    const { revocations, slots, pages, withdrawn } = this;
    const { refs } = this.grants;
    const mask = slots.length - 1;
    for (let index = 0; index < count; index += 1) {
      const slot = (first + index) & mask;
      const ref = refs[slot];
      if (ref === undefined || pages[slot] === undefined || withdrawn[slot] === 1) continue;
      slots[revocations.length] = slot;
      revocations.add(ref);
    }
    const { length } = revocations;
    for (let at = 0; at < length; at += 1) {
      const inUse = revocations.revoke(at);
      for (; at < inUse; at += 1) withdrawn[slots[at] as number] = 1;
      if (inUse < length) this.giveUp(slots[at] as number);
    }
    revocations.clear();
  }

  collect(slot: number): LeasedPage | undefined {
    if (this.withdrawn[slot] === 0) this.withdraw(slot, 1);
    const page = this.pages[slot];
    this.withdrawn[slot] = 0;
    this.pages[slot] = undefined;
    return page;
  }

  close(): void {
    this.withdraw(0, this.pages.length);
    for (let slot = 0; slot < this.pages.length; slot += 1) this.collect(slot)?.release();
    this.grants.end();
    this.pool.close();
  }

  private giveUp(slot: number): void {
    const page = this.pages[slot];
    this.pages[slot] = undefined;
    this.grants.giveUp(slot, () => page?.release());
  }
}
