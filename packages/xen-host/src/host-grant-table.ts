import { readFileSync } from 'node:fs';
import type {
  DomainId,
  GrantAccess,
  GrantRef,
  GrantTable,
  GrantTableVersion,
  SharedPages,
} from '@netchannel2/xen';
import { grantRef } from '@netchannel2/xen';
import type { HostArea } from './host-area';
import type { HostMemory } from './host-memory';
import type { GrantShareLibrary, UnmapNotification, XenLibraries } from './native/xen-libraries';

/**
 * What user space can do of granting: libxengntshr makes pages and grants each whole (spec grant-tables.md §12.1). The table's
 * version is the kernel's choice, and so is when a page that a peer still maps comes back.
 */
export class HostGrantTable implements GrantTable {
  readonly entries = undefined;
  readonly version: GrantTableVersion;
  readonly #shared = new Set<HostSharedPages>();
  #library: GrantShareLibrary | undefined;
  #free: number;

  constructor(
    private readonly libraries: XenLibraries,
    private readonly memory: HostMemory,
  ) {
    this.#free = libraries.shareablePages;
    this.version = readKernelVersion();
  }

  get freeRefs(): number {
    return this.#free;
  }

  /**
   * Opens the library now, so that what is missing shows before a device needs pages; otherwise the first `share` does.
   *
   * @throws XenHostError when libxengntshr or `/dev/xen/gntalloc` cannot be used.
   */
  open(): void {
    this.#opened();
  }

  /**
   * {@inheritDoc GrantTable.share}
   *
   * `end()` of what it returns always answers 0: whether a peer still maps a page only the kernel learns, which keeps it back.
   *
   * @throws XenHostError when libxengntshr or `/dev/xen/gntalloc` cannot be used.
   */
  share(peer: DomainId, pageCount: number, access: GrantAccess): HostSharedPages | undefined {
    return this.#share(pageCount, (library, refs) => library.share(peer, refs, access === 'readwrite'));
  }

  /** Shares one page whose end the peer will notice, also when this process dies (spec grant-tables.md §12.4). */
  sharePage(
    peer: DomainId,
    access: GrantAccess,
    notification: UnmapNotification,
  ): HostSharedPages | undefined {
    return this.#share(1, (library, refs) =>
      library.shareNotifying(peer, refs, access === 'readwrite', notification),
    );
  }

  close(): void {
    for (const pages of [...this.#shared]) pages.end();
    this.#library?.close();
    this.#library = undefined;
    this.#free = 0;
  }

  #opened(): GrantShareLibrary {
    this.#library ??= this.libraries.openGrantShare();
    return this.#library;
  }

  #share(
    pageCount: number,
    call: (library: GrantShareLibrary, refs: Uint32Array) => number,
  ): HostSharedPages | undefined {
    if (!Number.isInteger(pageCount) || pageCount < 1) {
      throw new RangeError(`pages are shared in whole numbers from 1, not ${pageCount}`);
    }
    if (pageCount > this.#free || !this.memory.reserve(pageCount)) return undefined;
    const library = this.#opened();
    const refs = new Uint32Array(pageCount);
    const address = call(library, refs);
    if (address <= 0) {
      this.memory.unreserve(pageCount);
      return undefined;
    }
    this.#free -= pageCount;
    const pages = new HostSharedPages(
      this.memory.adopt(address, pageCount),
      Array.from(refs, grantRef),
      () => {
        if (!this.#shared.delete(pages)) return;
        library.unshare(address, pageCount);
        this.memory.abandon(pages.area, address);
        this.memory.unreserve(pageCount);
        this.#free += pageCount;
      },
    );
    this.#shared.add(pages);
    return pages;
  }
}

/** Pages of the kernel that this process shares. */
export class HostSharedPages implements SharedPages {
  constructor(
    readonly area: HostArea,
    readonly refs: readonly GrantRef[],
    private readonly unshare: () => void,
  ) {}

  end(): number {
    this.unshare();
    return 0;
  }
}

/** Linux takes version 2 only where it is told to on its command line. */
function readKernelVersion(): GrantTableVersion {
  try {
    return readFileSync('/sys/module/grant_table/parameters/version', 'utf8').trim() === '2' ? 2 : 1;
  } catch {
    return 1;
  }
}
