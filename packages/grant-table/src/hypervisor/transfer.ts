/**
 * `GNTTABOP_transfer` (spec grant-tables.md §7.7): a PV caller gives a page of its own away, into an entry that accepts
 * it. From the removal of the page's address on, a failure costs the caller the page.
 *
 * @packageDocumentation
 */
import { GrantStatus } from '@netchannel2/xen';
import { V1_FRAME, V2_FRAME } from '../layout/entries';
import { GTF_accept_transfer, GTF_transfer_committed, GTF_transfer_completed } from '../layout/entry-flags';
import {
  storeLowStatus,
  TRANSFER_BYTES,
  TRANSFER_DOMID,
  TRANSFER_FRAME,
  TRANSFER_REF,
  TRANSFER_STATUS,
} from '../layout/table-arguments';
import { EOPNOTSUPP } from './errno';
import { HEADER_ATTEMPTS, sharedEntry } from './in-use-bits';
import { type GrantMachine, liveTable } from './machine';
import { ENTRIES, TABLE_LOCK, VERSION } from './table-block';
import { readLock, readUnlock } from './table-lock';

const NO_PAGE = -1;

export function transferPages(machine: GrantMachine, caller: number, first: number, count: number): number {
  if (!machine.options.transfer) return EOPNOTSUPP;
  const { words } = machine;
  for (let index = 0, element = first; index < count; index++, element += TRANSFER_BYTES >>> 2) {
    storeLowStatus(words, element + TRANSFER_STATUS, transferPage(machine, caller, element));
  }
  return 0;
}

function transferPage(machine: GrantMachine, caller: number, element: number): GrantStatus {
  const { words, host } = machine;
  if (words[element + TRANSFER_FRAME + 1] !== 0) return GrantStatus.badPage;
  const frame = host.stealPage(caller, (words[element + TRANSFER_FRAME] as number) >>> 0);
  if (frame === NO_PAGE) return GrantStatus.badPage;
  if (frame < 0) return GrantStatus.generalError;
  const domid = (words[element + TRANSFER_DOMID] as number) & 0xffff;
  const block = liveTable(machine, domid);
  if (block === 0) {
    host.freeStolenPage(frame);
    return GrantStatus.badDomain;
  }
  if (!host.reservePage(domid)) {
    host.freeStolenPage(frame);
    return GrantStatus.generalError;
  }
  const ref = (words[element + TRANSFER_REF] as number) >>> 0;
  if (!commit(machine, block, ref, caller) || !host.assignPage(frame, domid)) {
    host.unreservePage(domid);
    host.freeStolenPage(frame);
    return GrantStatus.generalError;
  }
  return complete(machine, block, domid, ref, frame) ? GrantStatus.okay : GrantStatus.generalError;
}

/** Sets `transfer_committed` on an entry that holds exactly an offer to the caller; bounded attempts. */
function commit(machine: GrantMachine, block: number, ref: number, caller: number): boolean {
  const { words } = machine;
  readLock(words, block + TABLE_LOCK, false);
  let committed = false;
  if (ref < (words[block + ENTRIES] as number)) {
    const header = sharedEntry(words, block, ref);
    const offer = GTF_accept_transfer | (caller << 16);
    for (let attempt = 0; attempt < HEADER_ATTEMPTS && !committed; attempt++) {
      if (Atomics.load(words, header) !== offer) break;
      const found = Atomics.compareExchange(words, header, offer, offer | GTF_transfer_committed);
      committed = found === offer;
    }
  }
  readUnlock(words, block + TABLE_LOCK);
  return committed;
}

/** Gives the page its address and reports it; false when the table changed so that the entry is gone. */
function complete(machine: GrantMachine, block: number, domid: number, ref: number, frame: number): boolean {
  const { words, host } = machine;
  readLock(words, block + TABLE_LOCK, false);
  const version = words[block + VERSION];
  let done = false;
  if (ref < (words[block + ENTRIES] as number)) {
    const header = sharedEntry(words, block, ref);
    const frameAt = header + (version === 1 ? V1_FRAME : V2_FRAME);
    if (host.isHvm(domid)) done = host.addToPhysmap(domid, (words[frameAt] as number) >>> 0, frame);
    else {
      done = host.addToPhysmap(domid, frame, frame);
      words[frameAt] = frame;
      if (version === 2) words[frameAt + 1] = 0;
    }
    // The guest reads the frame once it sees this bit.
    Atomics.or(words, header, GTF_transfer_completed);
  }
  readUnlock(words, block + TABLE_LOCK);
  return done;
}
