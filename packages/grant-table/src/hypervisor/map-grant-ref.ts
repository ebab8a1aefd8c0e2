/**
 * `GNTTABOP_map_grant_ref` (spec grant-tables.md §7.1): the checks in Xen's order, the first that fails decides.
 *
 * @packageDocumentation
 */
import { GrantStatus } from '@netchannel2/xen';
import {
  MAP_BYTES,
  MAP_DEV_BUS_ADDRESS,
  MAP_DOM_STATUS,
  MAP_FLAGS,
  MAP_HANDLE,
  MAP_HOST_ADDRESS,
  MAP_REF,
} from '../layout/mapping-arguments';
import {
  GNTMAP_application_map,
  GNTMAP_contains_pte,
  GNTMAP_device_map,
  GNTMAP_host_map,
  GNTMAP_readonly,
} from '../layout/operations';
import { storeHighStatus } from '../layout/table-arguments';
import {
  ACTIVE_DOMID_SOURCE,
  ACTIVE_GUEST_FRAME,
  ACTIVE_MACHINE_FRAME,
  ACTIVE_PIN,
  ACTIVE_RANGE,
  ACTIVE_TRANSITIVE_REF,
  activeEntry,
  lockEntry,
  PIN_DEVICE_READ,
  PIN_DEVICE_WRITE,
  PIN_HOST_READ,
  PIN_HOST_WRITE,
  PIN_OVERFLOW_SHIFT,
  PIN_WRITE_MASK,
  RANGE_SUB_PAGE,
  RANGE_WHOLE_PAGE,
  unlockEntry,
} from './active-entry';
import { reduceInUse, setInUse, sharedEntry } from './in-use-bits';
import { type GrantMachine, liveTable } from './machine';
import { putHandle, takeHandle, writeTrack } from './maptrack';
import { namedFrame, resolveFrame } from './resolve-frame';
import { addOwn, COUNT_MAPS, ENTRIES, TABLE_LOCK } from './table-block';
import { readLock, readUnlock } from './table-lock';

/** What only a PV caller may ask for. */
const PV_ONLY = GNTMAP_device_map | GNTMAP_application_map | GNTMAP_contains_pte;
const HVM_FLAGS = GNTMAP_host_map | GNTMAP_readonly;
const PAGE_MASK = 0xfff;

/** Carries out `count` elements at word index `first`. `own` is the caller's table. */
export function mapGrantRefs(
  machine: GrantMachine,
  caller: number,
  own: number,
  first: number,
  count: number,
): number {
  const { words, host } = machine;
  const { mapUsual } = host;
  const hvm = host.isHvm(caller);
  for (let index = 0; index < count; index++) {
    if (mapUsual !== undefined) {
      index += mapUsual(caller, (first << 2) + index * MAP_BYTES, count - index);
      if (index >= count) break;
    }
    const element = first + index * (MAP_BYTES >>> 2);
    const status = mapElement(machine, caller, own, element, hvm);
    storeHighStatus(words, element + MAP_DOM_STATUS, status);
  }
  addOwn(words, own + COUNT_MAPS, count);
  return 0;
}

function mapElement(
  machine: GrantMachine,
  caller: number,
  own: number,
  element: number,
  hvm: boolean,
): GrantStatus {
  const { words } = machine;
  const flags = words[element + MAP_FLAGS] as number;
  const ref = (words[element + MAP_REF] as number) >>> 0;
  const domid = (words[element + MAP_DOM_STATUS] as number) & 0xffff;
  if ((flags & (GNTMAP_host_map | GNTMAP_device_map)) === 0) return GrantStatus.badGrantRef;
  if (hvm && (flags & PV_ONLY) !== 0) return GrantStatus.generalError;
  const block = liveTable(machine, domid);
  if (block === 0) return GrantStatus.badDomain;
  const handle = takeHandle(machine, own);
  if (handle < 0) return GrantStatus.noSpace;
  const frame = pinForMap(machine, caller, domid, block, ref, flags);
  if (frame < 0) {
    putHandle(words, own, handle);
    return frame as GrantStatus;
  }
  const status = enterMapping(machine, caller, domid, element, frame, flags, hvm);
  if (status !== GrantStatus.okay) {
    unpin(machine, domid, ref, flags);
    putHandle(words, own, handle);
    return status;
  }
  writeTrack(words, own, handle, domid, ref, flags);
  words[element + MAP_HANDLE] = handle;
  words[element + MAP_DEV_BUS_ADDRESS] = frame << 12;
  words[element + MAP_DEV_BUS_ADDRESS + 1] = frame >>> 20;
  return GrantStatus.okay;
}

/** What one mapping with these flags adds to an entry's pins. */
export function pinsOf(flags: number): number {
  let pins = 0;
  const readonly = (flags & GNTMAP_readonly) !== 0;
  if ((flags & GNTMAP_host_map) !== 0) pins += readonly ? PIN_HOST_READ : PIN_HOST_WRITE;
  if ((flags & GNTMAP_device_map) !== 0) pins += readonly ? PIN_DEVICE_READ : PIN_DEVICE_WRITE;
  return pins;
}

/** Pins an entry for a map; the machine frame, or a negative status with nothing left set. */
function pinForMap(
  machine: GrantMachine,
  caller: number,
  domid: number,
  block: number,
  ref: number,
  flags: number,
): number {
  const { words } = machine;
  readLock(words, block + TABLE_LOCK, false);
  let frame: number = GrantStatus.badGrantRef;
  if (ref < (words[block + ENTRIES] as number)) {
    const active = activeEntry(words, block, ref);
    lockEntry(words, active);
    frame = pinLocked(machine, caller, domid, block, ref, active, flags);
    unlockEntry(words, active);
  }
  readUnlock(words, block + TABLE_LOCK);
  return frame;
}

function pinLocked(
  machine: GrantMachine,
  caller: number,
  domid: number,
  block: number,
  ref: number,
  active: number,
  flags: number,
): number {
  const { words, halfwords } = machine;
  const pin = words[active + ACTIVE_PIN] as number;
  const pins = pinsOf(flags);
  const write = (flags & GNTMAP_readonly) === 0;
  if (pin !== 0) {
    if (((words[active + ACTIVE_DOMID_SOURCE] as number) & 0xffff) !== caller)
      return GrantStatus.generalError;
    if ((pin & (pins << PIN_OVERFLOW_SHIFT)) !== 0) return GrantStatus.generalError;
    if (((words[active + ACTIVE_RANGE] as number) & RANGE_SUB_PAGE) !== 0) return GrantStatus.generalError;
  }
  if (pin === 0 || (write && (pin & PIN_WRITE_MASK) === 0)) {
    if (!setInUse(words, halfwords, block, ref, active, write, true, caller)) return GrantStatus.generalError;
    if (pin === 0) {
      const guestFrame = namedFrame(words, block, sharedEntry(words, block, ref));
      const frame = resolveFrame(machine, domid, guestFrame, write);
      if (frame < 0) {
        reduceInUse(words, halfwords, block, ref, active, write);
        return frame;
      }
      words[active + ACTIVE_DOMID_SOURCE] = caller | (domid << 16);
      words[active + ACTIVE_RANGE] = RANGE_WHOLE_PAGE;
      words[active + ACTIVE_TRANSITIVE_REF] = ref;
      words[active + ACTIVE_MACHINE_FRAME] = frame;
      words[active + ACTIVE_GUEST_FRAME] = guestFrame;
    }
  }
  Atomics.store(words, active + ACTIVE_PIN, pin + pins);
  return words[active + ACTIVE_MACHINE_FRAME] as number;
}

/** References on the page, then the host mapping; on failure nothing of either is left. */
function enterMapping(
  machine: GrantMachine,
  caller: number,
  domid: number,
  element: number,
  frame: number,
  flags: number,
  hvm: boolean,
): GrantStatus {
  const { host, words } = machine;
  const write = (flags & GNTMAP_readonly) === 0;
  const hostPart = (flags & GNTMAP_host_map) !== 0;
  const devicePart = (flags & GNTMAP_device_map) !== 0;
  if (hostPart && !host.acquirePage(frame, domid, write)) return GrantStatus.generalError;
  if (devicePart && !host.acquirePage(frame, domid, write)) {
    if (hostPart) host.releasePage(frame, write);
    return GrantStatus.generalError;
  }
  let status: number = GrantStatus.okay;
  if (hostPart) {
    const address = (words[element + MAP_HOST_ADDRESS] as number) & ~PAGE_MASK;
    const beyond = words[element + MAP_HOST_ADDRESS + 1] !== 0;
    status =
      beyond || (hvm && (flags & ~HVM_FLAGS) !== 0)
        ? GrantStatus.generalError
        : host.mapHostAddress(caller, address >>> 0, frame, flags);
  }
  if (status !== GrantStatus.okay) {
    if (hostPart) host.releasePage(frame, write);
    if (devicePart) host.releasePage(frame, write);
  }
  return status as GrantStatus;
}

/** Drops the pins of mapping parts and clears the in-use bits nobody needs any more. */
export function unpin(machine: GrantMachine, domid: number, ref: number, flags: number): void {
  const { words, halfwords } = machine;
  const block = liveTable(machine, domid);
  if (block === 0) return;
  readLock(words, block + TABLE_LOCK, false);
  const active = activeEntry(words, block, ref);
  lockEntry(words, active);
  Atomics.store(words, active + ACTIVE_PIN, (words[active + ACTIVE_PIN] as number) - pinsOf(flags));
  reduceInUse(words, halfwords, block, ref, active, (flags & GNTMAP_readonly) === 0);
  unlockEntry(words, active);
  readUnlock(words, block + TABLE_LOCK);
}
