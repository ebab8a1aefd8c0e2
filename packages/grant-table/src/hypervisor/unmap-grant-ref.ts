/**
 * `GNTTABOP_unmap_grant_ref` and `GNTTABOP_unmap_and_replace` (spec grant-tables.md §7.2, §7.3), and the end of all
 * mappings of a domain (§8).
 *
 * Two phases for each 32 elements: first mappings are removed, handles freed and statuses written, then references and
 * pins are dropped and the in-use bits cleared. The granter never sees "free" while a mapping is left.
 *
 * @packageDocumentation
 */
import { GrantStatus } from '@netchannel2/xen';
import {
  UNMAP_BYTES,
  UNMAP_DEV_BUS_ADDRESS,
  UNMAP_HANDLE,
  UNMAP_HOST_ADDRESS,
  UNMAP_STATUS,
} from '../layout/mapping-arguments';
import {
  GNTMAP_contains_pte,
  GNTMAP_device_map,
  GNTMAP_host_map,
  GNTMAP_readonly,
  GNTTAB_UNMAP_BATCH_SIZE,
} from '../layout/operations';
import { storeLowStatus } from '../layout/table-arguments';
import { ACTIVE_MACHINE_FRAME, activeEntry, lockEntry, unlockEntry } from './active-entry';
import { type GrantMachine, liveTable } from './machine';
import { unpin } from './map-grant-ref';
import { clearTrack, TRACK_DOMID, TRACK_FLAGS, TRACK_REF, trackEntry } from './maptrack';
import { addOwn, COUNT_UNMAPS, ENTRIES, MAPTRACK_LIMIT, TABLE_LOCK } from './table-block';
import { readLock, readUnlock } from './table-lock';

const PAGE_MASK = 0xfff;
const PARTS = GNTMAP_host_map | GNTMAP_device_map;
/** Words of a note about an element that was unmapped. */
const NOTE_WORDS = 4;

/** What phase two has to do, one thread's: granter, reference, frame, and map flags reduced to the parts unmapped. */
export class UnmapNotes {
  readonly items = new Int32Array(GNTTAB_UNMAP_BATCH_SIZE * NOTE_WORDS);
  length = 0;

  add(domid: number, ref: number, frame: number, flags: number): void {
    const at = this.length * NOTE_WORDS;
    this.items[at] = domid;
    this.items[at + 1] = ref;
    this.items[at + 2] = frame;
    this.items[at + 3] = flags;
    this.length++;
  }
}

export function unmapGrantRefs(
  machine: GrantMachine,
  notes: UnmapNotes,
  caller: number,
  own: number,
  first: number,
  count: number,
  replace: boolean,
): number {
  const { words, host } = machine;
  for (let start = 0; start < count; start += GNTTAB_UNMAP_BATCH_SIZE) {
    if (host.unmapUsual !== undefined && !replace) {
      start += host.unmapUsual(caller, (first << 2) + start * UNMAP_BYTES, count - start);
    }
    const end = Math.min(start + GNTTAB_UNMAP_BATCH_SIZE, count);
    for (let index = start; index < end; index++) {
      const element = first + index * (UNMAP_BYTES >>> 2);
      storeLowStatus(
        words,
        element + UNMAP_STATUS,
        unmapElement(machine, notes, caller, own, element, replace),
      );
    }
    complete(machine, notes);
  }
  addOwn(words, own + COUNT_UNMAPS, count);
  return 0;
}

/** Ends every mapping of a dying domain, highest handle first. */
export function releaseMappings(machine: GrantMachine, notes: UnmapNotes, domid: number): void {
  const { words } = machine;
  const own = liveTable(machine, domid);
  if (own === 0) return;
  for (let handle = (words[own + MAPTRACK_LIMIT] as number) - 1; handle >= 0; handle--) {
    const track = trackEntry(words, own, handle);
    const flags = Atomics.load(words, track + TRACK_FLAGS);
    if (flags === 0) continue;
    const granter = words[track + TRACK_DOMID] as number;
    const ref = words[track + TRACK_REF] as number;
    const block = liveTable(machine, granter);
    const frame = block === 0 ? 0 : (words[activeEntry(words, block, ref) + ACTIVE_MACHINE_FRAME] as number);
    clearTrack(words, own, handle);
    notes.add(granter, ref, frame, flags);
    if (notes.length === GNTTAB_UNMAP_BATCH_SIZE) complete(machine, notes);
  }
  complete(machine, notes);
}

/** Phase one of an element. */
function unmapElement(
  machine: GrantMachine,
  notes: UnmapNotes,
  caller: number,
  own: number,
  element: number,
  replace: boolean,
): GrantStatus {
  const { words, host } = machine;
  const handle = (words[element + UNMAP_HANDLE] as number) >>> 0;
  if (handle >= (words[own + MAPTRACK_LIMIT] as number)) return GrantStatus.badHandle;
  const track = trackEntry(words, own, handle);
  if (Atomics.load(words, track + TRACK_FLAGS) === 0) return GrantStatus.badHandle;
  const domid = words[track + TRACK_DOMID] as number;
  const block = liveTable(machine, domid);
  if (block === 0) {
    host.crashDomain(caller, `unmapped handle ${handle}, whose granter ${domid} has gone`);
    return GrantStatus.generalError;
  }
  const ref = words[track + TRACK_REF] as number;
  readLock(words, block + TABLE_LOCK, false);
  let status: GrantStatus = GrantStatus.badHandle;
  if (ref >>> 0 < (words[block + ENTRIES] as number)) {
    const active = activeEntry(words, block, ref);
    lockEntry(words, active);
    // Another thread's unmap of the same handle may have been here first: of all of it, which frees the handle, perhaps
    // for another mapping, or of the other part, which leaves ours.
    const stands =
      Atomics.load(words, track + TRACK_FLAGS) !== 0 &&
      words[track + TRACK_DOMID] === domid &&
      words[track + TRACK_REF] === ref;
    if (stands) {
      const frame = words[active + ACTIVE_MACHINE_FRAME] as number;
      status = unmapParts(machine, notes, caller, own, element, handle, track, domid, ref, frame, replace);
    }
    unlockEntry(words, active);
  }
  readUnlock(words, block + TABLE_LOCK);
  return status;
}

function unmapParts(
  machine: GrantMachine,
  notes: UnmapNotes,
  caller: number,
  own: number,
  element: number,
  handle: number,
  track: number,
  domid: number,
  ref: number,
  frame: number,
  replace: boolean,
): GrantStatus {
  const { words, host } = machine;
  const flags = words[track + TRACK_FLAGS] as number;
  const hostLow = words[element + UNMAP_HOST_ADDRESS] as number;
  const hostHigh = words[element + UNMAP_HOST_ADDRESS + 1] as number;
  // unmap_and_replace has its second address where the device address is, and no device part.
  const secondLow = words[element + UNMAP_DEV_BUS_ADDRESS] as number;
  const secondHigh = words[element + UNMAP_DEV_BUS_ADDRESS + 1] as number;
  const second = secondLow !== 0 || secondHigh !== 0;
  const devicePart = !replace && second && (flags & GNTMAP_device_map) !== 0;
  if (devicePart && (secondLow !== frame << 12 || secondHigh !== frame >>> 20)) {
    return GrantStatus.badDeviceAddress;
  }
  const hostPart = (hostLow !== 0 || hostHigh !== 0) && (flags & GNTMAP_host_map) !== 0;
  if (hostPart) {
    if (hostHigh !== 0) return GrantStatus.generalError;
    const address = (hostLow & ~PAGE_MASK) >>> 0;
    let status: number;
    if (!replace || !second) status = host.unmapHostAddress(caller, address, frame, flags);
    else if (secondHigh !== 0 || (flags & GNTMAP_contains_pte) !== 0) status = GrantStatus.generalError;
    else status = host.replaceHostAddress(caller, address, (secondLow & ~PAGE_MASK) >>> 0, frame, flags);
    if (status !== GrantStatus.okay) return status as GrantStatus;
  }
  const parts = (hostPart ? GNTMAP_host_map : 0) | (devicePart ? GNTMAP_device_map : 0);
  const left = flags & ~parts;
  if (parts !== 0) notes.add(domid, ref, frame, (flags & GNTMAP_readonly) | parts);
  if ((left & PARTS) === 0) clearTrack(words, own, handle);
  else Atomics.store(words, track + TRACK_FLAGS, left);
  return GrantStatus.okay;
}

/** Phase two: pins and bits go, then the page references. */
function complete(machine: GrantMachine, notes: UnmapNotes): void {
  const { items } = notes;
  for (let index = 0; index < notes.length; index++) {
    const at = index * NOTE_WORDS;
    const domid = items[at] as number;
    const frame = items[at + 2] as number;
    const flags = items[at + 3] as number;
    const write = (flags & GNTMAP_readonly) === 0;
    unpin(machine, domid, items[at + 1] as number, flags);
    if ((flags & GNTMAP_host_map) !== 0) machine.host.releasePage(frame, write);
    if ((flags & GNTMAP_device_map) !== 0) machine.host.releasePage(frame, write);
  }
  notes.length = 0;
}
