/**
 * Where a table's frames lie: `GNTTABOP_setup_table`, `GNTTABOP_get_status_frames` (spec grant-tables.md §7.8), and one
 * frame at a time as `XENMEM_add_to_physmap` and `XENMEM_acquire_resource` ask for.
 *
 * @packageDocumentation
 */
import { GrantStatus } from '@netchannel2/xen';
import { grantFramesServedBy } from '../layout/entries';
import {
  SETUP_TABLE_DOM,
  SETUP_TABLE_FRAMES,
  SETUP_TABLE_LIST,
  SETUP_TABLE_STATUS,
  STATUS_FRAMES_DOM_STATUS,
  STATUS_FRAMES_FRAMES,
  STATUS_FRAMES_LIST,
  storeHighStatus,
  storeLowStatus,
} from '../layout/table-arguments';
import { EBUSY, EFAULT, EINVAL, ESRCH } from './errno';
import { type GrantMachine, liveTable, resolveTable } from './machine';
import { mayTarget } from './query-size';
import {
  GRANT_FRAMES,
  MAX_GRANT_FRAMES,
  STATUS_FRAMES,
  TABLE_DOMID,
  TABLE_LOCK,
  VERSION,
} from './table-block';
import { growTable, sharedMachineFrame, statusMachineFrame } from './table-growth';
import { readLock, readUnlock, writeLock, writeUnlock } from './table-lock';

export function setupTable(machine: GrantMachine, caller: number, argument: number): number {
  const { words } = machine;
  const domid = (words[argument + SETUP_TABLE_DOM] as number) & 0xffff;
  const count = (words[argument + SETUP_TABLE_FRAMES] as number) >>> 0;
  if (!inAddressSpace(machine, argument + SETUP_TABLE_LIST, count)) return EFAULT;
  const block = resolveTable(machine, caller, domid);
  let status: GrantStatus = GrantStatus.okay;
  if (block === 0) status = GrantStatus.badDomain;
  else if (!mayTarget(machine, caller, domid, block)) status = GrantStatus.permissionDenied;
  else if (count > (words[block + MAX_GRANT_FRAMES] as number)) status = GrantStatus.generalError;
  else if (!growTo(machine, block, count)) status = GrantStatus.generalError;
  else status = listFrames(machine, caller, block, argument + SETUP_TABLE_LIST, count, sharedMachineFrame);
  storeLowStatus(words, argument + SETUP_TABLE_STATUS, status);
  return 0;
}

export function getStatusFrames(machine: GrantMachine, caller: number, argument: number): number {
  const { words } = machine;
  const domid = (words[argument + STATUS_FRAMES_DOM_STATUS] as number) & 0xffff;
  const count = (words[argument + STATUS_FRAMES_FRAMES] as number) >>> 0;
  if (!inAddressSpace(machine, argument + STATUS_FRAMES_LIST, count)) return EFAULT;
  const block = resolveTable(machine, caller, domid);
  let status: GrantStatus = GrantStatus.okay;
  if (block === 0) status = GrantStatus.badDomain;
  else if (!mayTarget(machine, caller, domid, block)) status = GrantStatus.permissionDenied;
  else {
    readLock(words, block + TABLE_LOCK, false);
    status =
      count > (words[block + STATUS_FRAMES] as number)
        ? GrantStatus.generalError
        : listFrames(machine, caller, block, argument + STATUS_FRAMES_LIST, count, statusMachineFrame);
    readUnlock(words, block + TABLE_LOCK);
  }
  storeHighStatus(words, argument + STATUS_FRAMES_DOM_STATUS, status);
  return 0;
}

/**
 * Machine frame of one frame of a domain's table, which grows for it.
 *
 * @param status of the status array instead of the entries.
 * @returns the frame, or a negative errno.
 */
export function tableFrame(machine: GrantMachine, domid: number, index: number, status: boolean): number {
  const { words } = machine;
  const block = liveTable(machine, domid);
  if (block === 0) return ESRCH;
  if (!writeLock(words, block + TABLE_LOCK, machine.options.lockPatience)) return EBUSY;
  const frame = tableFrameLocked(machine, block, index, status);
  writeUnlock(words, block + TABLE_LOCK);
  return frame;
}

function tableFrameLocked(machine: GrantMachine, block: number, index: number, status: boolean): number {
  const { words } = machine;
  const version = words[block + VERSION] as number;
  if (status && version !== 2) return EINVAL;
  const needed = status ? grantFramesServedBy(index + 1) : index + 1;
  const missing = index >= ((status ? words[block + STATUS_FRAMES] : words[block + GRANT_FRAMES]) as number);
  if (missing) {
    if (needed > (words[block + MAX_GRANT_FRAMES] as number)) return EINVAL;
    if (growTable(machine, block, version, needed) !== 0) return EINVAL;
  }
  return status ? statusMachineFrame(words, block, index) : sharedMachineFrame(words, block, index);
}

function growTo(machine: GrantMachine, block: number, count: number): boolean {
  const { words } = machine;
  if (count <= (words[block + GRANT_FRAMES] as number)) return true;
  if (!writeLock(words, block + TABLE_LOCK, machine.options.lockPatience)) return false;
  const result = growTable(machine, block, words[block + VERSION] as number, count);
  writeUnlock(words, block + TABLE_LOCK);
  return result === 0;
}

/** Whether a list of `count` frames can be a guest's at all. */
function inAddressSpace(machine: GrantMachine, pointer: number, count: number): boolean {
  const { words, host } = machine;
  return words[pointer + 1] === 0 && ((words[pointer] as number) >>> 0) + count * 8 <= host.bytes.length;
}

/** Writes `count` frames, as the domain names them, to the list the argument points at. */
function listFrames(
  machine: GrantMachine,
  caller: number,
  block: number,
  pointer: number,
  count: number,
  machineFrame: (words: Int32Array, block: number, index: number) => number,
): GrantStatus {
  const { words, host } = machine;
  const list = words[pointer] as number;
  if (!host.mayAccess(caller, list, count * 8)) return GrantStatus.badVirtualAddress;
  const domid = words[block + TABLE_DOMID] as number;
  for (let index = 0; index < count; index++) {
    const frame = host.sharedGuestFrame(domid, machineFrame(words, block, index));
    words[(list >>> 2) + index * 2] = frame;
    words[(list >>> 2) + index * 2 + 1] = frame < 0 ? -1 : 0;
  }
  return GrantStatus.okay;
}
