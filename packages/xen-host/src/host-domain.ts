import type { DeferredWork, Domain, DomainCapabilities, DomainId, XenStore } from '@netchannel2/xen';
import { DOMID_FIRST_RESERVED, domainId } from '@netchannel2/xen';
import { asyncScheduler, type SchedulerLike } from 'rxjs';
import { HostEventChannels } from './host-event-channels';
import { HostForeignMemory } from './host-foreign-memory';
import { HostGrantTable } from './host-grant-table';
import { HostMemory } from './host-memory';
import { connectHostStore, type HostStoreOptions } from './host-store';
import { koffiLibraries } from './native/koffi-libraries';
import type { XenLibraries } from './native/xen-libraries';
import { XenHostError } from './xen-host-error';

const DEFAULT_MEMORY_PAGES = 16384;

export interface XenHostOptions extends HostStoreOptions {
  /** Pages this process may use for frames, rings and shared pages, of 4096 bytes; taken as they are used. Default 16384. */
  readonly memoryPages?: number;
  /** Foreign pages this process may have mapped at a time, from 1. Default: the kernel's own bound, if it has any. */
  readonly maximumMappings?: number;
  /** This domain's id. Default: what xenstore says. */
  readonly domid?: DomainId;
  /** A connection of one's own; it is not closed with the domain. Default: the host's xenstore, closed with the domain. */
  readonly store?: XenStore;
  readonly scheduler?: SchedulerLike;
  /** Xen's libraries. Default: the installed ones. */
  readonly libraries?: XenLibraries;
}

/**
 * The Xen domain this process runs in, as drivers see it. Its events come through Node's event loop on the thread that opened
 * it.
 */
export class HostDomain implements Domain {
  readonly memory: HostMemory;
  readonly grants: HostGrantTable;
  readonly foreign: HostForeignMemory;
  readonly events: HostEventChannels;
  /**
   * Entries of the own table are the kernel's: no sub-page and no transitive grants, and no word about who still uses what was
   * shared. Drivers negotiate down by it.
   */
  readonly capabilities: DomainCapabilities = {
    subPageGrants: false,
    transitiveGrants: false,
    revokeResult: false,
  };
  readonly #closeStore: () => void;
  #closed = false;

  /** @internal Use {@link openXenHost}. */
  constructor(
    readonly id: DomainId,
    readonly store: XenStore,
    readonly scheduler: SchedulerLike,
    libraries: XenLibraries,
    memoryPages: number,
    closeStore: () => void,
  ) {
    this.#closeStore = closeStore;
    const grantMap = libraries.openGrantMap();
    this.memory = new HostMemory(libraries.memory, memoryPages);
    this.foreign = new HostForeignMemory(grantMap, this.memory);
    this.grants = new HostGrantTable(libraries, this.memory);
    this.events = new HostEventChannels(libraries.openEventChannels());
  }

  defer(work: DeferredWork): void {
    this.events.turns.defer(work);
  }

  /** Lets go of everything: ports close, mappings and shares end, areas read as empty. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.events.shutdown();
    this.foreign.close();
    this.grants.close();
    this.memory.close();
    this.#closeStore();
  }
}

/**
 * Opens the Xen host this process runs on.
 *
 * @throws XenHostError when this is no Xen domain, or a library, a device or a permission is missing; the message says which and
 * what to do.
 */
export async function openXenHost(options: XenHostOptions = {}): Promise<HostDomain> {
  const { memoryPages = DEFAULT_MEMORY_PAGES, scheduler = asyncScheduler, maximumMappings } = options;
  if (!Number.isInteger(memoryPages) || memoryPages < 1) {
    throw new RangeError(`memoryPages is ${memoryPages}: give a whole number from 1`);
  }
  if (
    maximumMappings !== undefined &&
    !(Number.isInteger(maximumMappings) && maximumMappings >= 1 && maximumMappings < 2 ** 32)
  ) {
    throw new RangeError(`maximumMappings is ${maximumMappings}: give a whole number from 1`);
  }
  const libraries = options.libraries ?? koffiLibraries();
  const own = options.store === undefined ? await connectHostStore(options) : undefined;
  const store = options.store ?? own;
  if (store === undefined) throw new XenHostError('There is no xenstore.');
  const closeStore = (): void => own?.close();
  try {
    const id = options.domid ?? (await readDomid(store));
    const domain = new HostDomain(id, store, scheduler, libraries, memoryPages, closeStore);
    if (maximumMappings !== undefined) domain.foreign.setMaximum(maximumMappings);
    return domain;
  } catch (error) {
    closeStore();
    throw error;
  }
}

async function readDomid(store: XenStore): Promise<DomainId> {
  const text = await store.tryRead('domid');
  const value = text !== undefined && /^\d{1,5}$/.test(text) ? Number(text) : -1;
  if (value < 0 || value >= DOMID_FIRST_RESERVED) {
    throw new XenHostError(
      'xenstore does not tell which domain this is (no node "domid"). In dom0, run xen-init-dom0; or give the id.',
    );
  }
  return domainId(value);
}
