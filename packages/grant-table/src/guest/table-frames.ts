/**
 * How a guest kernel sets its table up and finds its frames (spec grant-tables.md §5.4): hypercalls on structures in its
 * own memory.
 *
 * @packageDocumentation
 */
import type { MemoryArea } from '@netchannel2/xen';
import { entriesIn, statusFramesFor } from '../layout/entries';
import {
  GNTTABOP_get_status_frames,
  GNTTABOP_query_size,
  GNTTABOP_set_version,
  GNTTABOP_setup_table,
} from '../layout/operations';
import {
  getStatusFramesStatus,
  QUERY_SIZE_FRAMES,
  QUERY_SIZE_MAX_FRAMES,
  querySizeStatus,
  SETUP_TABLE_BYTES,
  setupTableStatus,
  writeGetStatusFrames,
  writeQuerySize,
  writeSetupTable,
} from '../layout/table-arguments';

/** What a guest's grant table is built on. */
export interface GuestPlatform {
  /** `grant_table_op`: 0 or a negative errno. */
  readonly hypercall: (command: number, address: number, count: number) => number;
  /** Own memory for arguments, at least a page; nobody else uses it. */
  readonly argument: MemoryArea;
  /**
   * For a guest whose addresses Xen translates: puts a frame of the table (or of the status array) into its address
   * space, growing the table. Machine address of the frame, or a negative errno. A PV guest has none and is told the
   * frames by `setup_table` and `get_status_frames`.
   */
  readonly addToPhysmap?: ((index: number, status: boolean) => number) | undefined;
}

const PAGE_SHIFT = 12;
/** Behind the largest argument struct. */
const LIST_OFFSET = 64;

export class TableFrames {
  /** First 32-bit word of each grant frame. */
  readonly shared: number[] = [];
  /** First 16-bit word of each status frame. */
  readonly status: number[] = [];
  readonly version: 1 | 2;
  readonly maxFrames: number;

  /** @param wanted the version to ask for; where Xen refuses 2 it is 1. */
  constructor(
    private readonly platform: GuestPlatform,
    wanted: 1 | 2,
  ) {
    const { words, base } = platform.argument;
    writeQuerySize(words, base, 0x7ff0);
    const answered = platform.hypercall(GNTTABOP_query_size, base, 1) === 0;
    const known = answered && querySizeStatus(words, base) === 0;
    const frames = known ? (words[(base >>> 2) + QUERY_SIZE_FRAMES] as number) : 1;
    this.maxFrames = known ? (words[(base >>> 2) + QUERY_SIZE_MAX_FRAMES] as number) : 1;
    words[base >>> 2] = wanted;
    platform.hypercall(GNTTABOP_set_version, base, 1);
    // Xen answers the version in force, also where it refuses.
    this.version = words[base >>> 2] === 2 ? 2 : 1;
    if (!this.grow(frames)) throw new RangeError('Xen gives this domain no grant table');
  }

  /** References in the frames there are. */
  get entries(): number {
    return entriesIn(this.shared.length, this.version);
  }

  /** References there can be. */
  get maxEntries(): number {
    return entriesIn(this.maxFrames, this.version);
  }

  /** Extends the table to `count` frames; false when Xen refuses. */
  grow(count: number): boolean {
    if (count > this.maxFrames) return false;
    return this.platform.addToPhysmap === undefined
      ? this.#ask(count)
      : this.#place(count, this.platform.addToPhysmap);
  }

  #ask(count: number): boolean {
    const { argument, hypercall } = this.platform;
    const { words, base, byteLength } = argument;
    if (LIST_OFFSET + count * 8 > byteLength) return false;
    const list = base + LIST_OFFSET;
    words.fill(0, base >>> 2, (base + SETUP_TABLE_BYTES) >>> 2);
    writeSetupTable(words, base, 0x7ff0, count, list);
    if (hypercall(GNTTABOP_setup_table, base, 1) !== 0 || setupTableStatus(words, base) !== 0) return false;
    for (let index = this.shared.length; index < count; index++) {
      this.shared.push(((words[(list >>> 2) + index * 2] as number) << PAGE_SHIFT) >>> 2);
    }
    if (this.version === 1) return true;
    const statusCount = statusFramesFor(this.shared.length);
    writeGetStatusFrames(words, base, 0x7ff0, statusCount, list);
    if (hypercall(GNTTABOP_get_status_frames, base, 1) !== 0 || getStatusFramesStatus(words, base) !== 0) {
      return false;
    }
    for (let index = this.status.length; index < statusCount; index++) {
      this.status.push(((words[(list >>> 2) + index * 2] as number) << PAGE_SHIFT) >>> 1);
    }
    return true;
  }

  #place(count: number, add: (index: number, status: boolean) => number): boolean {
    for (let index = this.shared.length; index < count; index++) {
      const address = add(index, false);
      if (address < 0) return false;
      this.shared.push(address >>> 2);
    }
    if (this.version === 1) return true;
    for (let index = this.status.length; index < statusFramesFor(this.shared.length); index++) {
      const address = add(index, true);
      if (address < 0) return false;
      this.status.push(address >>> 1);
    }
    return true;
  }
}
