import { DeviceError } from '@netchannel2/device-registry';
import { FramePool } from '@netchannel2/frames';
import type { Domain, DomainId, GrantEntries, GrantRef, LeasedPage } from '@netchannel2/xen';
import { takeGrantRefs } from './grant-refs';
import type { TransmitBuffers } from './transmit-buffers';

/** Pages are granted read-only where they lie, one reference for each request id, for as long as the request is pending. */
export class GrantedTransmitBuffers implements TransmitBuffers {
  readonly lendsAnyPage = true;
  private readonly pages: (LeasedPage | undefined)[];

  private constructor(
    private readonly entries: GrantEntries,
    private readonly peer: DomainId,
    private readonly refs: (GrantRef | undefined)[],
    private readonly pool: FramePool,
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
  ): GrantedTransmitBuffers {
    const refs = takeGrantRefs(entries, idCount);
    const pool = FramePool.create(domain.memory, copyPages);
    if (pool === undefined) {
      for (const ref of refs) entries.free(ref);
      throw new DeviceError('ENOMEM', `no ${copyPages} adjacent pages for frames to be sent`);
    }
    return new GrantedTransmitBuffers(entries, peer, refs, pool);
  }

  get available(): number {
    return this.pool.available;
  }

  takePage(): LeasedPage | undefined {
    return this.pool.take();
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

  close(): number {
    let out = 0;
    for (let id = 0; id < this.refs.length; id += 1) {
      if (this.isLent(id)) {
        out += 1;
        this.takeBack(id);
      }
      const ref = this.refs[id];
      if (ref !== undefined) this.entries.free(ref);
      this.refs[id] = undefined;
    }
    this.pool.close();
    return out;
  }
}
