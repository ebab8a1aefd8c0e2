/**
 * The grant-table hypercall and the table's life with its domain (spec grant-tables.md §2.3, §7, §8).
 *
 * @packageDocumentation
 */
import { COPY_BYTES } from '../layout/copy-argument';
import { MAP_BYTES, UNMAP_BYTES, UNMAP_REPLACE_BYTES } from '../layout/mapping-arguments';
import {
  GNTTABOP_CMD_MASK,
  GNTTABOP_cache_flush,
  GNTTABOP_copy,
  GNTTABOP_get_status_frames,
  GNTTABOP_get_version,
  GNTTABOP_map_grant_ref,
  GNTTABOP_query_size,
  GNTTABOP_set_version,
  GNTTABOP_setup_table,
  GNTTABOP_swap_grant_ref,
  GNTTABOP_transfer,
  GNTTABOP_unmap_and_replace,
  GNTTABOP_unmap_grant_ref,
} from '../layout/operations';
import {
  CACHE_FLUSH_BYTES,
  GET_VERSION_BYTES,
  QUERY_SIZE_BYTES,
  SET_VERSION_BYTES,
  SETUP_TABLE_BYTES,
  STATUS_FRAMES_BYTES,
  SWAP_BYTES,
  TRANSFER_BYTES,
} from '../layout/table-arguments';
import { cacheFlush } from './cache-flush';
import { CopyState, copyGrants } from './copy';
import { countActive, type GrantTableRecord, listTable } from './entry-list';
import { EFAULT, EINVAL, ENOSYS, ESRCH } from './errno';
import type { GrantTableHost } from './host';
import {
  createGrantMachine,
  type GrantLimits,
  type GrantMachine,
  type GrantTableOptions,
  liveTable,
} from './machine';
import { mapGrantRefs } from './map-grant-ref';
import { getVersion, querySize } from './query-size';
import { setVersion } from './set-version';
import { getStatusFrames, setupTable, tableFrame } from './setup-table';
import { swapGrantRefs } from './swap-grant-ref';
import {
  addOwn,
  bytesCopiedFor,
  COUNT_BYTES_COPIED_BY,
  COUNT_COPIES,
  COUNT_ELEMENTS,
  COUNT_HYPERCALLS,
  COUNT_MAPS,
  COUNT_UNMAPS,
  MAPPINGS,
  readCounter,
  TABLE_LOCK,
} from './table-block';
import { createTable, destroyTable } from './table-growth';
import { writeLock, writeUnlock } from './table-lock';
import { transferPages } from './transfer';
import { releaseMappings, UnmapNotes, unmapGrantRefs } from './unmap-grant-ref';

/** Bytes of an operation's element, by its number; 0 where there is no such operation on any architecture. */
const ELEMENT_BYTES: readonly number[] = elementBytes();

function elementBytes(): number[] {
  const bytes = new Array<number>(GNTTABOP_cache_flush + 1).fill(0);
  bytes[GNTTABOP_map_grant_ref] = MAP_BYTES;
  bytes[GNTTABOP_unmap_grant_ref] = UNMAP_BYTES;
  bytes[GNTTABOP_setup_table] = SETUP_TABLE_BYTES;
  bytes[GNTTABOP_transfer] = TRANSFER_BYTES;
  bytes[GNTTABOP_copy] = COPY_BYTES;
  bytes[GNTTABOP_query_size] = QUERY_SIZE_BYTES;
  bytes[GNTTABOP_unmap_and_replace] = UNMAP_REPLACE_BYTES;
  bytes[GNTTABOP_set_version] = SET_VERSION_BYTES;
  bytes[GNTTABOP_get_status_frames] = STATUS_FRAMES_BYTES;
  bytes[GNTTABOP_get_version] = GET_VERSION_BYTES;
  bytes[GNTTABOP_swap_grant_ref] = SWAP_BYTES;
  bytes[GNTTABOP_cache_flush] = CACHE_FLUSH_BYTES;
  return bytes;
}

/** Operations of which one element is all there can be, -EINVAL for any other count. */
const SINGLE = (1 << GNTTABOP_setup_table) | (1 << GNTTABOP_query_size) | (1 << GNTTABOP_get_status_frames);
/** Operations whose one element is taken whatever the count says. */
const COUNT_IGNORED = (1 << GNTTABOP_set_version) | (1 << GNTTABOP_get_version);
/** What x86 answers to callers whose addresses are guest-physical. */
const HVM_ON_X86 =
  (1 << GNTTABOP_map_grant_ref) |
  (1 << GNTTABOP_unmap_grant_ref) |
  (1 << GNTTABOP_setup_table) |
  (1 << GNTTABOP_copy) |
  (1 << GNTTABOP_query_size) |
  (1 << GNTTABOP_set_version) |
  (1 << GNTTABOP_get_version) |
  (1 << GNTTABOP_swap_grant_ref);

/** What a domain's table has counted. */
export interface GrantTableCounters {
  readonly maps: number;
  readonly unmaps: number;
  readonly copies: number;
  readonly elements: number;
  readonly hypercalls: number;
  readonly bytesCopiedBy: number;
  readonly bytesCopiedFor: number;
  readonly activeGrants: number;
  readonly mappings: number;
}

/**
 * The hypervisor side of grant tables, as one thread runs it. All state that outlives a call lies in the memory of the
 * host; every thread has an instance of its own over the same.
 */
export class GrantTableOperations {
  readonly #machine: GrantMachine;
  readonly #copies = new CopyState();
  readonly #notes = new UnmapNotes();

  constructor(host: GrantTableHost, options: GrantTableOptions = {}) {
    this.#machine = createGrantMachine(host, options);
  }

  /**
   * `HYPERVISOR_grant_table_op`.
   *
   * @param address byte offset of the argument array in the machine memory, a multiple of 4.
   * @returns 0 once every element was processed, whatever their statuses; or a negative errno.
   */
  execute(caller: number, command: number, address: number, count: number): number {
    const machine = this.#machine;
    const { host, words, options } = machine;
    const own = liveTable(machine, caller);
    if (own === 0) return ESRCH;
    const operation = command & GNTTABOP_CMD_MASK;
    const known = command === operation && operation < ELEMENT_BYTES.length;
    if (options.architecture === 'x86') {
      if (host.isHvm(caller) && !(known && (HVM_ON_X86 & (1 << operation)) !== 0)) return ENOSYS;
    }
    if (count < 0 || count > 0x7fff_ffff) return EINVAL;
    if (command !== operation) return EINVAL;
    const bytes = ELEMENT_BYTES[operation] ?? 0;
    if (bytes === 0 || (operation === GNTTABOP_cache_flush && options.architecture === 'x86')) return ENOSYS;
    if (count !== 1 && (SINGLE & (1 << operation)) !== 0) return EINVAL;
    const elements = (COUNT_IGNORED & (1 << operation)) !== 0 ? 1 : count;
    if (elements !== 0 && ((address & 3) !== 0 || !host.mayAccess(caller, address, elements * bytes))) {
      return EFAULT;
    }
    addOwn(words, own + COUNT_HYPERCALLS, 1);
    addOwn(words, own + COUNT_ELEMENTS, elements);
    return this.#run(caller, own, operation, address, elements);
  }

  #run(caller: number, own: number, operation: number, address: number, count: number): number {
    const machine = this.#machine;
    const first = address >>> 2;
    switch (operation) {
      case GNTTABOP_copy:
        return copyGrants(machine, this.#copies, caller, own, address, count);
      case GNTTABOP_map_grant_ref:
        return mapGrantRefs(machine, caller, own, first, count);
      case GNTTABOP_unmap_grant_ref:
        return unmapGrantRefs(machine, this.#notes, caller, own, first, count, false);
      case GNTTABOP_unmap_and_replace:
        return unmapGrantRefs(machine, this.#notes, caller, own, first, count, true);
      case GNTTABOP_setup_table:
        return setupTable(machine, caller, first);
      case GNTTABOP_get_status_frames:
        return getStatusFrames(machine, caller, first);
      case GNTTABOP_query_size:
        return querySize(machine, caller, first);
      case GNTTABOP_set_version:
        return setVersion(machine, own, first);
      case GNTTABOP_get_version:
        return getVersion(machine, caller, first);
      case GNTTABOP_swap_grant_ref:
        return swapGrantRefs(machine, own, first, count);
      case GNTTABOP_transfer:
        return transferPages(machine, caller, first, count);
      case GNTTABOP_cache_flush:
        return cacheFlush(machine, caller, first, count);
      default:
        return ENOSYS;
    }
  }

  /** The table a new domain starts with: version 1, one frame. False when there is no memory for it. */
  createTable(domid: number, limits: GrantLimits): boolean {
    return createTable(this.#machine, domid, limits);
  }

  /**
   * Machine frame of a frame of the domain's table, as `XENMEM_add_to_physmap` or `XENMEM_acquire_resource` asks for it;
   * the table grows as needed.
   *
   * @param status a frame of the status array instead of the entries.
   * @returns the frame or a negative errno.
   */
  tableFrame(domid: number, index: number, status: boolean): number {
    return tableFrame(this.#machine, domid, index, status);
  }

  /** First step of a domain's end: every mapping it made goes. */
  releaseMappings(domid: number): void {
    releaseMappings(this.#machine, this.#notes, domid);
  }

  /** Waits until no copy that found one of the domain's pages before is still under way. */
  waitForCopies(domid: number): void {
    const machine = this.#machine;
    const block = liveTable(machine, domid);
    if (block === 0) return;
    if (writeLock(machine.words, block + TABLE_LOCK, machine.options.lockPatience)) {
      writeUnlock(machine.words, block + TABLE_LOCK);
    }
  }

  /** Last step: the table itself, which nobody can find any more. */
  destroyTable(domid: number): void {
    destroyTable(this.#machine, domid);
  }

  /** The table as Xen's debug key `g` shows it; `undefined` when there is no such domain. */
  list(domid: number): GrantTableRecord | undefined {
    return listTable(this.#machine, domid);
  }

  counters(domid: number): GrantTableCounters {
    const machine = this.#machine;
    const block = liveTable(machine, domid);
    const count = (offset: number): number => (block === 0 ? 0 : readCounter(machine.words, block + offset));
    return {
      maps: count(COUNT_MAPS),
      unmaps: count(COUNT_UNMAPS),
      copies: count(COUNT_COPIES),
      elements: count(COUNT_ELEMENTS),
      hypercalls: count(COUNT_HYPERCALLS),
      bytesCopiedBy: count(COUNT_BYTES_COPIED_BY),
      bytesCopiedFor: block === 0 ? 0 : bytesCopiedFor(machine.words, block),
      activeGrants: countActive(machine, domid),
      mappings: block === 0 ? 0 : (machine.words[block + MAPPINGS] as number),
    };
  }
}
