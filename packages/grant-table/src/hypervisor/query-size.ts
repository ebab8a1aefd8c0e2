/**
 * `GNTTABOP_query_size` and `GNTTABOP_get_version` (spec grant-tables.md §7.8).
 *
 * @packageDocumentation
 */
import { DOMID_SELF, GrantStatus } from '@netchannel2/xen';
import {
  GET_VERSION_DOM,
  GET_VERSION_VERSION,
  QUERY_SIZE_DOM,
  QUERY_SIZE_FRAMES,
  QUERY_SIZE_MAX_FRAMES,
  QUERY_SIZE_STATUS,
  storeLowStatus,
} from '../layout/table-arguments';
import { EPERM, ESRCH } from './errno';
import { type GrantMachine, resolveTable } from './machine';
import { GRANT_FRAMES, MAX_GRANT_FRAMES, TABLE_DOMID, VERSION } from './table-block';

export function querySize(machine: GrantMachine, caller: number, argument: number): number {
  const { words } = machine;
  const domid = (words[argument + QUERY_SIZE_DOM] as number) & 0xffff;
  const block = resolveTable(machine, caller, domid);
  let status: GrantStatus = GrantStatus.okay;
  if (block === 0) status = GrantStatus.badDomain;
  else if (!mayTarget(machine, caller, domid, block)) status = GrantStatus.permissionDenied;
  else {
    words[argument + QUERY_SIZE_FRAMES] = words[block + GRANT_FRAMES] as number;
    words[argument + QUERY_SIZE_MAX_FRAMES] = words[block + MAX_GRANT_FRAMES] as number;
  }
  storeLowStatus(words, argument + QUERY_SIZE_STATUS, status);
  return 0;
}

export function getVersion(machine: GrantMachine, caller: number, argument: number): number {
  const { words } = machine;
  const domid = (words[argument + GET_VERSION_DOM] as number) & 0xffff;
  const block = resolveTable(machine, caller, domid);
  if (block === 0) return ESRCH;
  if (!mayTarget(machine, caller, domid, block)) return EPERM;
  words[argument + GET_VERSION_VERSION] = words[block + VERSION] as number;
  return 0;
}

/** XSM's default policy for operations on another domain's table. */
export function mayTarget(machine: GrantMachine, caller: number, domid: number, block: number): boolean {
  return (
    domid === DOMID_SELF || machine.host.mayControl(caller, machine.words[block + TABLE_DOMID] as number)
  );
}
