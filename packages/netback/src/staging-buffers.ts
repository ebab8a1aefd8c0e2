import type { DomainId, ForeignMemory, GrantRef, MappedPages, PageArea } from '@netchannel2/xen';

/**
 * Pages a frontend granted ahead for good and had mapped through the control ring (`XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING`):
 * slots that name them are served with plain copies instead of grant operations.
 */
export class StagingBuffers {
  private readonly mapped = new Map<GrantRef, { readonly pages: MappedPages; readonly readonly: boolean }>();

  constructor(
    private readonly foreign: ForeignMemory,
    private readonly peer: DomainId,
    /** Pages the frontend may have mapped at a time. */
    readonly capacity: number,
  ) {}

  get size(): number {
    return this.mapped.size;
  }

  /** The page behind a reference that is mapped. */
  find(ref: GrantRef): PageArea | undefined {
    return this.mapped.get(ref)?.pages.area;
  }

  /** The page behind a reference that is mapped to be written to. */
  findWritable(ref: GrantRef): PageArea | undefined {
    const entry = this.mapped.get(ref);
    return entry === undefined || entry.readonly ? undefined : entry.pages.area;
  }

  has(ref: GrantRef): boolean {
    return this.mapped.has(ref);
  }

  /** Maps a page. Answers `false` when it cannot be mapped, or is already. */
  add(ref: GrantRef, readonly: boolean): boolean {
    if (this.mapped.has(ref) || this.mapped.size >= this.capacity) return false;
    const pages = this.foreign.map(this.peer, [ref], readonly ? 'readonly' : 'readwrite');
    if (typeof pages === 'number') return false;
    this.mapped.set(ref, { pages, readonly });
    return true;
  }

  /** Unmaps a page. Answers whether it was mapped. */
  delete(ref: GrantRef): boolean {
    this.mapped.get(ref)?.pages.unmap();
    return this.mapped.delete(ref);
  }

  close(): void {
    for (const { pages } of this.mapped.values()) pages.unmap();
    this.mapped.clear();
  }
}
