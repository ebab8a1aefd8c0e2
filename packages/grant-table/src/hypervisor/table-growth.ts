/**
 * The pages of a grant table: created with a domain, grown on demand, given back at the end.
 *
 * @packageDocumentation
 */
import { entriesIn, statusFramesFor } from '../layout/entries';
import { ACTIVE_PAGES_PER_GRANT_FRAME } from './active-entry';
import { ENOMEM } from './errno';
import type { GrantLimits, GrantMachine } from './machine';
import {
  ACTIVE_LIST,
  ENTRIES,
  GRANT_FRAMES,
  GRANT_TABLE_BLOCK_BYTES,
  LISTS_ADDRESS,
  LISTS_PAGES,
  MAPTRACK_HEAD,
  MAPTRACK_LIMIT,
  MAPTRACK_LIST,
  MAPTRACK_TAIL,
  MAX_GRANT_FRAMES,
  MAX_MAPTRACK_FRAMES,
  MAX_VERSION,
  SHARED_LIST,
  STATUS_FRAMES,
  STATUS_LIST,
  TABLE_DOMID,
  VERSION,
} from './table-block';

const PAGE_SHIFT = 12;
const PAGE_WORDS_SHIFT = 10;
/** A new domain has one frame, version 1. */
const INITIAL_GRANT_FRAMES = 1;
const HANDLES_SHIFT = 8;

/** Gives a new domain its table; false, nothing left behind, when Xen has no memory for it. */
export function createTable(machine: GrantMachine, domid: number, limits: GrantLimits): boolean {
  const { host, words } = machine;
  const block = host.grantTableBlock(domid) >>> 2;
  const { maxGrantFrames, maxMaptrackFrames } = limits;
  const statusItems = statusFramesFor(maxGrantFrames);
  const items = 2 * maxGrantFrames + statusItems + maxMaptrackFrames;
  const pages = Math.ceil(items / (1 << PAGE_WORDS_SHIFT));
  const lists = host.allocateXenPages(pages);
  if (lists === 0) return false;
  words.fill(0, block, block + (GRANT_TABLE_BLOCK_BYTES >>> 2));
  const first = lists >>> 2;
  words[block + LISTS_ADDRESS] = lists;
  words[block + LISTS_PAGES] = pages;
  words[block + SHARED_LIST] = first;
  words[block + ACTIVE_LIST] = first + maxGrantFrames;
  words[block + STATUS_LIST] = first + 2 * maxGrantFrames;
  words[block + MAPTRACK_LIST] = first + 2 * maxGrantFrames + statusItems;
  words[block + MAX_GRANT_FRAMES] = maxGrantFrames;
  words[block + MAX_MAPTRACK_FRAMES] = maxMaptrackFrames;
  words[block + MAX_VERSION] = limits.maxVersion;
  words[block + TABLE_DOMID] = domid;
  words[block + MAPTRACK_HEAD] = -1;
  words[block + MAPTRACK_TAIL] = -1;
  if (growTable(machine, block, 1, INITIAL_GRANT_FRAMES) !== 0) {
    host.freeXenPages(lists, pages);
    words[block + LISTS_ADDRESS] = 0;
    return false;
  }
  Atomics.store(words, block + VERSION, 1);
  return true;
}

/**
 * Extends a table of `version` to `frames` grant frames. Called with the table write-locked. Frames are zeroed, entries
 * keep their contents.
 *
 * @returns 0, or -ENOMEM with the table as it was.
 */
export function growTable(machine: GrantMachine, block: number, version: number, frames: number): number {
  const { host, words } = machine;
  const before = words[block + GRANT_FRAMES] as number;
  if (frames <= before) return 0;
  const shared = words[block + SHARED_LIST] as number;
  const active = words[block + ACTIVE_LIST] as number;
  const domid = words[block + TABLE_DOMID] as number;
  for (let index = before; index < frames; index++) {
    const page = host.allocateXenPages(1);
    const records = page === 0 ? 0 : host.allocateXenPages(ACTIVE_PAGES_PER_GRANT_FRAME);
    if (records === 0) {
      if (page !== 0) host.freeXenPages(page, 1);
      freeGrantFrames(machine, block, before, index);
      return ENOMEM;
    }
    words[shared + index] = page >>> 2;
    words[active + index] = records >>> 2;
  }
  if (version === 2 && addStatusFrames(machine, block, frames) !== 0) {
    freeGrantFrames(machine, block, before, frames);
    return ENOMEM;
  }
  for (let index = before; index < frames; index++) {
    host.sharePage(domid, (words[shared + index] as number) >>> PAGE_WORDS_SHIFT);
  }
  words[block + GRANT_FRAMES] = frames;
  Atomics.store(words, block + ENTRIES, entriesIn(frames, version));
  return 0;
}

/** Makes sure that `grantFrames` frames of version 2 have their status frames. */
export function addStatusFrames(machine: GrantMachine, block: number, grantFrames: number): number {
  const { host, words } = machine;
  const before = words[block + STATUS_FRAMES] as number;
  const wanted = statusFramesFor(grantFrames);
  const list = words[block + STATUS_LIST] as number;
  for (let index = before; index < wanted; index++) {
    const page = host.allocateXenPages(1);
    if (page === 0) {
      for (let added = before; added < index; added++) {
        host.freeXenPages((words[list + added] as number) << 1, 1);
        words[list + added] = 0;
      }
      return ENOMEM;
    }
    words[list + index] = page >>> 1;
  }
  for (let index = before; index < wanted; index++) {
    host.sharePage(words[block + TABLE_DOMID] as number, statusMachineFrame(words, block, index));
  }
  words[block + STATUS_FRAMES] = Math.max(before, wanted);
  return 0;
}

/**
 * Takes the status frames back from the guest and frees them.
 *
 * @returns false, the frames still there, when the guest holds on to one.
 */
export function removeStatusFrames(machine: GrantMachine, block: number): boolean {
  const { host, words } = machine;
  const count = words[block + STATUS_FRAMES] as number;
  const domid = words[block + TABLE_DOMID] as number;
  for (let index = 0; index < count; index++) {
    if (host.withdrawPage(domid, statusMachineFrame(words, block, index))) continue;
    for (let taken = 0; taken < index; taken++)
      host.sharePage(domid, statusMachineFrame(words, block, taken));
    return false;
  }
  const list = words[block + STATUS_LIST] as number;
  words[block + STATUS_FRAMES] = 0;
  for (let index = 0; index < count; index++) {
    host.freeXenPages((words[list + index] as number) << 1, 1);
    words[list + index] = 0;
  }
  return true;
}

/** Frees everything of a table nobody can find any more. */
export function destroyTable(machine: GrantMachine, domid: number): void {
  const { host, words } = machine;
  const block = host.grantTableBlock(domid) >>> 2;
  const lists = block === 0 ? 0 : (words[block + LISTS_ADDRESS] as number);
  if (lists === 0) return;
  Atomics.store(words, block + VERSION, 0);
  freeGrantFrames(machine, block, 0, words[block + GRANT_FRAMES] as number);
  const status = words[block + STATUS_LIST] as number;
  for (let index = 0; index < (words[block + STATUS_FRAMES] as number); index++) {
    host.freeXenPages((words[status + index] as number) << 1, 1);
  }
  const maptrack = words[block + MAPTRACK_LIST] as number;
  const maptrackFrames = (words[block + MAPTRACK_LIMIT] as number) >>> HANDLES_SHIFT;
  for (let index = 0; index < maptrackFrames; index++) {
    host.freeXenPages((words[maptrack + index] as number) << 2, 1);
  }
  host.freeXenPages(lists, words[block + LISTS_PAGES] as number);
  words.fill(0, block, block + (GRANT_TABLE_BLOCK_BYTES >>> 2));
}

/** Machine frame of a grant frame of the table. */
export function sharedMachineFrame(words: Int32Array, block: number, index: number): number {
  return (words[(words[block + SHARED_LIST] as number) + index] as number) >>> PAGE_WORDS_SHIFT;
}

/** Machine frame of a status frame; its list counts in 16-bit words. */
export function statusMachineFrame(words: Int32Array, block: number, index: number): number {
  return (words[(words[block + STATUS_LIST] as number) + index] as number) >>> (PAGE_SHIFT - 1);
}

function freeGrantFrames(machine: GrantMachine, block: number, first: number, end: number): void {
  const { host, words } = machine;
  const shared = words[block + SHARED_LIST] as number;
  const active = words[block + ACTIVE_LIST] as number;
  for (let index = first; index < end; index++) {
    host.freeXenPages((words[shared + index] as number) << 2, 1);
    host.freeXenPages((words[active + index] as number) << 2, ACTIVE_PAGES_PER_GRANT_FRAME);
    words[shared + index] = 0;
    words[active + index] = 0;
  }
}
