import type {
  DomainId,
  ForeignMemory,
  GrantAccess,
  GrantCopyBatch,
  GrantRef,
  MappedPages,
} from '@netchannel2/xen';
import { errnoName, GrantStatus } from '@netchannel2/xen';
import type { HostArea } from './host-area';
import { HostCopyBatch } from './host-copy-batch';
import type { HostMemory } from './host-memory';
import type { GrantMapLibrary, UnmapNotification } from './native/xen-libraries';
import { XenHostError } from './xen-host-error';

const MAXIMUM_BATCH = 512;

/** Mappings and copies through libxengnttab. */
export class HostForeignMemory implements ForeignMemory {
  readonly #mappings = new Set<HostMapping>();

  constructor(
    private readonly library: GrantMapLibrary,
    private readonly memory: HostMemory,
  ) {}

  /** Mappings that have not ended. */
  get mappings(): number {
    return this.#mappings.size;
  }

  map(owner: DomainId, refs: readonly GrantRef[], access: GrantAccess): HostMapping | GrantStatus {
    if (refs.length === 0) return GrantStatus.badGrantRef;
    const address = this.library.map(owner, Uint32Array.from(refs), access === 'readwrite');
    return address > 0 ? this.#mapped(owner, address, refs.length) : this.#diagnose(owner, refs);
  }

  /** Maps one page whose unmapping the owner will notice, also when this process dies (spec grant-tables.md §12.4). */
  mapPage(
    owner: DomainId,
    ref: GrantRef,
    access: GrantAccess,
    notification: UnmapNotification,
  ): HostMapping | GrantStatus {
    const address = this.library.mapNotifying(owner, ref, access === 'readwrite', notification);
    return address > 0 ? this.#mapped(owner, address, 1) : this.#diagnose(owner, [ref]);
  }

  /** Bounds the pages mapped at a time. @throws XenHostError where the kernel does not take the number. */
  setMaximum(count: number): void {
    const errno = this.library.setMaximum(count);
    if (errno < 0) {
      throw new XenHostError(`The kernel does not let this process map ${count} pages: ${errnoName(errno)}.`);
    }
  }

  createCopyBatch(capacity: number): GrantCopyBatch {
    if (!(Number.isInteger(capacity) && capacity >= 1 && capacity <= MAXIMUM_BATCH)) {
      throw new RangeError(`a copy batch has 1 to ${MAXIMUM_BATCH} elements, not ${capacity}`);
    }
    return new HostCopyBatch(capacity, this.memory.regions, this.library);
  }

  close(): void {
    for (const mapping of [...this.#mappings]) mapping.unmap();
    this.library.close();
  }

  #mapped(owner: DomainId, address: number, pageCount: number): HostMapping {
    const mapping = new HostMapping(owner, this.memory.adopt(address, pageCount), () => {
      if (!this.#mappings.delete(mapping)) return;
      this.library.unmap(address, pageCount);
      this.memory.abandon(mapping.area, address);
    });
    this.#mappings.add(mapping);
    return mapping;
  }

  /**
   * The kernel says EINVAL whatever Xen said. A copy of one byte out of each grant meets the same checks in the same order and
   * brings Xen's own status; where all can be read, writing was refused.
   */
  #diagnose(owner: DomainId, refs: readonly GrantRef[]): GrantStatus {
    const scratch = this.memory.allocate(1);
    if (scratch === undefined) return GrantStatus.generalError;
    const batch = new HostCopyBatch(1, this.memory.regions, this.library);
    let status: GrantStatus = GrantStatus.okay;
    for (const ref of refs) {
      batch.clear();
      batch.addFromGrant(owner, ref, 0, scratch, 0, 1);
      batch.submit();
      status = batch.status(0);
      if (status !== GrantStatus.okay) break;
    }
    this.memory.free(scratch);
    return status === GrantStatus.okay ? GrantStatus.generalError : status;
  }
}

/** Pages of another domain in this process, until `unmap`. */
export class HostMapping implements MappedPages {
  constructor(
    readonly owner: DomainId,
    readonly area: HostArea,
    private readonly end: () => void,
  ) {}

  unmap(): void {
    this.end();
  }
}
