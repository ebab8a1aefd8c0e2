/**
 * `GNTTABOP_cache_flush` (spec grant-tables.md §7.11), which exists on Arm alone. The machine memory needs no cache
 * maintenance, so only the checks are left.
 *
 * @packageDocumentation
 */

import { GNTTAB_CACHE_CLEAN, GNTTAB_CACHE_INVAL } from '../layout/operations';
import {
  CACHE_FLUSH_ADDRESS,
  CACHE_FLUSH_BYTES,
  CACHE_FLUSH_OFFSET_LENGTH,
  CACHE_FLUSH_OPERATION,
} from '../layout/table-arguments';
import { ACTIVE_DOMID_SOURCE, ACTIVE_MACHINE_FRAME, ACTIVE_PIN, activeEntry } from './active-entry';
import { EINVAL, EPERM } from './errno';
import { type GrantMachine, liveTable } from './machine';
import { ENTRIES, TABLE_LOCK } from './table-block';
import { readLock, readUnlock } from './table-lock';

const PAGE_BYTES = 4096;

export function cacheFlush(machine: GrantMachine, caller: number, first: number, count: number): number {
  for (let index = 0, element = first; index < count; index++, element += CACHE_FLUSH_BYTES >>> 2) {
    const result = flushElement(machine, caller, element);
    if (result !== 0) return result;
  }
  return 0;
}

function flushElement(machine: GrantMachine, caller: number, element: number): number {
  const { words, host } = machine;
  const offsetLength = words[element + CACHE_FLUSH_OFFSET_LENGTH] as number;
  const offset = offsetLength & 0xffff;
  const length = offsetLength >>> 16;
  const operation = words[element + CACHE_FLUSH_OPERATION] as number;
  if (offset >= PAGE_BYTES || length > PAGE_BYTES || offset + length > PAGE_BYTES) return EINVAL;
  if ((operation & ~(GNTTAB_CACHE_CLEAN | GNTTAB_CACHE_INVAL)) !== 0) return EINVAL;
  if (length === 0 || operation === 0) return 0;
  const low = words[element + CACHE_FLUSH_ADDRESS] as number;
  const high = words[element + CACHE_FLUSH_ADDRESS + 1] as number;
  const frame = (low >>> 12) + (high >>> 0) * 0x10_0000;
  if (frame >= host.bytes.length / PAGE_BYTES) return EINVAL;
  const owner = host.pageOwner(frame);
  if (owner < 0) return EPERM;
  return owner === caller || pinnedFor(machine, owner, caller, frame) ? 0 : EINVAL;
}

/** Whether some grant of `owner` keeps this frame in use by `caller`. */
function pinnedFor(machine: GrantMachine, owner: number, caller: number, frame: number): boolean {
  const { words } = machine;
  const block = liveTable(machine, owner);
  if (block === 0) return false;
  readLock(words, block + TABLE_LOCK, false);
  let found = false;
  for (let ref = 0; ref < (words[block + ENTRIES] as number) && !found; ref++) {
    const active = activeEntry(words, block, ref);
    found =
      words[active + ACTIVE_PIN] !== 0 &&
      words[active + ACTIVE_MACHINE_FRAME] === frame &&
      ((words[active + ACTIVE_DOMID_SOURCE] as number) & 0xffff) === caller;
  }
  readUnlock(words, block + TABLE_LOCK);
  return found;
}
