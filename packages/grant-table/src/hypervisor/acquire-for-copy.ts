/**
 * Pinning a grant for one copy, and letting go (spec grant-tables.md §7.5, §7.6).
 *
 * @packageDocumentation
 */
import { GrantStatus } from '@netchannel2/xen';
import { V2_FRAME, V2_RANGE } from '../layout/entries';
import { GTF_sub_page, GTF_transitive, GTF_type_mask } from '../layout/entry-flags';
import {
  ACTIVE_DOMID_SOURCE,
  ACTIVE_GUEST_FRAME,
  ACTIVE_MACHINE_FRAME,
  ACTIVE_PIN,
  ACTIVE_RANGE,
  ACTIVE_TRANSITIVE_REF,
  activeEntry,
  lockEntry,
  PIN_HOST_READ,
  PIN_HOST_WRITE,
  PIN_OVERFLOW_SHIFT,
  PIN_WRITE_MASK,
  RANGE_START_MASK,
  RANGE_SUB_PAGE,
  RANGE_WHOLE_PAGE,
  unlockEntry,
} from './active-entry';
import type { CopySide } from './copy-side';
import { HEADER_ATTEMPTS, reduceInUse, setInUse, sharedEntry } from './in-use-bits';
import { type GrantMachine, liveTable } from './machine';
import { namedFrame, resolveFrame } from './resolve-frame';
import { ENTRIES, TABLE_LOCK, V2_OPERATIONS, VERSION } from './table-block';
import { readLock, readUnlock } from './table-lock';

/** The outer entry changed while the inner one was acquired: start over. */
const RESTART = 1;
/** The entry's type is transitive; its in-use bits are set where they had to be. */
const TRANSITIVE = 2;

/** How the outer entry named its inner one, read once under the lock. */
const inner = { domid: 0, ref: 0 };

/**
 * Acquires `side.name` of `side.owner` for a copy by `grantee`; fills frame and range.
 *
 * @returns a status; nothing stays pinned or set unless it is okay.
 */
export function acquireForCopy(machine: GrantMachine, side: CopySide, grantee: number): number {
  // A granter that keeps changing the entry must not keep us here.
  for (let attempt = 0; attempt < HEADER_ATTEMPTS; attempt++) {
    const status = acquireOnce(machine, side, grantee);
    if (status === RESTART) continue;
    if (status !== GrantStatus.okay) uncountV2(machine.words, side);
    return status;
  }
  uncountV2(machine.words, side);
  return GrantStatus.generalError;
}

function acquireOnce(machine: GrantMachine, side: CopySide, grantee: number): number {
  const { words } = machine;
  const { block, name: ref } = side;
  side.innerDomid = -1;
  readLock(words, block + TABLE_LOCK, false);
  if (ref >>> 0 >= (words[block + ENTRIES] as number)) {
    readUnlock(words, block + TABLE_LOCK);
    return GrantStatus.badGrantRef;
  }
  const active = activeEntry(words, block, ref);
  lockEntry(words, active);
  const pinBefore = words[active + ACTIVE_PIN] as number;
  const status = acquireLocked(machine, side, block, side.owner, ref, active, grantee, true);
  unlockEntry(words, active);
  readUnlock(words, block + TABLE_LOCK);
  return status === TRANSITIVE
    ? acquireThrough(machine, side, active, pinBefore, grantee, inner.domid, inner.ref)
    : status;
}

/** A status, or {@link TRANSITIVE} with the inner entry's name noted. */
function acquireLocked(
  machine: GrantMachine,
  side: CopySide,
  block: number,
  domid: number,
  ref: number,
  active: number,
  grantee: number,
  mayBeTransitive: boolean,
): number {
  const { words, halfwords } = machine;
  const { write } = side;
  const pin = words[active + ACTIVE_PIN] as number;
  const increment = write ? PIN_HOST_WRITE : PIN_HOST_READ;
  if (pin !== 0) {
    if (((words[active + ACTIVE_DOMID_SOURCE] as number) & 0xffff) !== grantee)
      return GrantStatus.generalError;
    if ((pin & (increment << PIN_OVERFLOW_SHIFT)) !== 0) return GrantStatus.generalError;
  }
  const fresh = pin === 0 || (write && (pin & PIN_WRITE_MASK) === 0);
  const header = sharedEntry(words, block, ref);
  const version2 = words[block + VERSION] === 2;
  if (version2 && (Atomics.load(words, header) & GTF_type_mask) === GTF_transitive) {
    if (fresh && !setInUse(words, halfwords, block, ref, active, write, false, grantee)) {
      return GrantStatus.generalError;
    }
    if (!mayBeTransitive || !machine.options.transitive) {
      reduceInUse(words, halfwords, block, ref, active, write);
      return GrantStatus.generalError;
    }
    // From here to the second look at this entry no lock keeps the version.
    countV2(words, side);
    inner.domid = (words[header + V2_RANGE] as number) & 0xffff;
    inner.ref = words[header + V2_FRAME] as number;
    return TRANSITIVE;
  }
  const status = fresh
    ? recordEntry(machine, side, block, domid, ref, active, header, grantee, pin !== 0)
    : reuseRecord(machine, side, domid, active);
  if (status !== GrantStatus.okay) return status;
  Atomics.store(words, active + ACTIVE_PIN, pin + increment);
  takeRange(words, side, active);
  if (mayBeTransitive && ((words[active + ACTIVE_RANGE] as number) & RANGE_SUB_PAGE) !== 0)
    countV2(words, side);
  return GrantStatus.okay;
}

/** First use, or first write of an entry in use for reading: the shared entry is consulted. */
function recordEntry(
  machine: GrantMachine,
  side: CopySide,
  block: number,
  domid: number,
  ref: number,
  active: number,
  header: number,
  grantee: number,
  pinned: boolean,
): number {
  const { words, halfwords, host } = machine;
  const { write } = side;
  if (!setInUse(words, halfwords, block, ref, active, write, false, grantee)) return GrantStatus.generalError;
  const subPage = words[block + VERSION] === 2 && (Atomics.load(words, header) & GTF_sub_page) !== 0;
  // page_off in the low half, length above: RANGE's own layout, of which bit 15 of the offset is the mark.
  const range = subPage ? (words[header + V2_RANGE] as number) | RANGE_SUB_PAGE : RANGE_WHOLE_PAGE;
  const offsetBeyond = subPage && ((words[header + V2_RANGE] as number) & RANGE_SUB_PAGE) !== 0;
  const guestFrame = namedFrame(words, block, header);
  let frame = resolveFrame(machine, domid, guestFrame, write);
  let status: number = frame < 0 ? frame : GrantStatus.okay;
  if (status === GrantStatus.okay && pinned) {
    if (!machine.options.pinnedCopyCheck) frame = words[active + ACTIVE_MACHINE_FRAME] as number;
    else if (!sameRecord(words, active, domid, frame, range, offsetBeyond)) status = GrantStatus.generalError;
  }
  if (status === GrantStatus.okay && !host.acquirePage(frame, domid, write)) status = GrantStatus.badPage;
  if (status !== GrantStatus.okay) {
    reduceInUse(words, halfwords, block, ref, active, write);
    return status;
  }
  side.claimed = true;
  if (pinned) return GrantStatus.okay;
  words[active + ACTIVE_DOMID_SOURCE] = grantee | (domid << 16);
  words[active + ACTIVE_RANGE] = range;
  words[active + ACTIVE_TRANSITIVE_REF] = ref;
  words[active + ACTIVE_MACHINE_FRAME] = frame;
  words[active + ACTIVE_GUEST_FRAME] = guestFrame;
  return GrantStatus.okay;
}

/** Whether what the shared entry says now is what was recorded; ranges count only where the record is a sub page. */
function sameRecord(
  words: Int32Array,
  active: number,
  domid: number,
  frame: number,
  range: number,
  offsetBeyond: boolean,
): boolean {
  if (words[active + ACTIVE_MACHINE_FRAME] !== frame) return false;
  if ((words[active + ACTIVE_DOMID_SOURCE] as number) >>> 16 !== domid) return false;
  const recorded = words[active + ACTIVE_RANGE] as number;
  return (recorded & RANGE_SUB_PAGE) === 0 || (recorded === range && !offsetBeyond);
}

/** A use the pins cover already: the record counts, the shared entry is not looked at. */
function reuseRecord(machine: GrantMachine, side: CopySide, domid: number, active: number): number {
  const { words, host } = machine;
  const frame = words[active + ACTIVE_MACHINE_FRAME] as number;
  const source = (words[active + ACTIVE_DOMID_SOURCE] as number) >>> 16;
  if (host.isDying(domid) || host.isDying(source)) return GrantStatus.badDomain;
  if (!host.acquirePage(frame, source, side.write)) return GrantStatus.badDomain;
  side.claimed = true;
  return GrantStatus.okay;
}

function takeRange(words: Int32Array, side: CopySide, active: number): void {
  const range = words[active + ACTIVE_RANGE] as number;
  side.frame = words[active + ACTIVE_MACHINE_FRAME] as number;
  side.start = range & RANGE_START_MASK;
  side.length = range >>> 16;
}

/**
 * The inner grant of a transitive one. No lock is held while the other domain's table is looked at, so the outer entry
 * is checked again afterwards.
 */
function acquireThrough(
  machine: GrantMachine,
  side: CopySide,
  active: number,
  pinBefore: number,
  grantee: number,
  innerDomid: number,
  innerRef: number,
): number {
  const { words, halfwords, host } = machine;
  const { block, name: ref, write } = side;
  const innerBlock = innerDomid === side.owner ? 0 : liveTable(machine, innerDomid);
  let status: number = GrantStatus.generalError;
  if (innerBlock !== 0) status = acquireInner(machine, side, innerBlock, innerDomid, innerRef);
  readLock(words, block + TABLE_LOCK, false);
  lockEntry(words, active);
  if (
    status === GrantStatus.okay &&
    !stillSame(words, side, active, pinBefore, grantee, innerDomid, innerRef)
  ) {
    status = RESTART;
  }
  if (status === GrantStatus.okay) {
    if (pinBefore === 0) {
      words[active + ACTIVE_DOMID_SOURCE] = grantee | (innerDomid << 16);
      // Marked a sub page whatever the inner grant is: that keeps maps away.
      words[active + ACTIVE_RANGE] = side.start | (side.length << 16) | RANGE_SUB_PAGE;
      words[active + ACTIVE_TRANSITIVE_REF] = innerRef;
      words[active + ACTIVE_MACHINE_FRAME] = side.frame;
      words[active + ACTIVE_GUEST_FRAME] = -1;
    }
    Atomics.store(words, active + ACTIVE_PIN, pinBefore + (write ? PIN_HOST_WRITE : PIN_HOST_READ));
    side.innerDomid = innerDomid;
    side.innerRef = innerRef;
  } else {
    reduceInUse(words, halfwords, block, ref, active, write);
  }
  unlockEntry(words, active);
  readUnlock(words, block + TABLE_LOCK);
  if (status === RESTART) {
    dropPin(machine, innerBlock, innerRef, write);
    side.claimed = false;
    host.releasePage(side.frame, write);
  }
  return status;
}

function acquireInner(
  machine: GrantMachine,
  side: CopySide,
  block: number,
  domid: number,
  ref: number,
): number {
  const { words } = machine;
  readLock(words, block + TABLE_LOCK, false);
  let status: number = GrantStatus.badGrantRef;
  if (ref >>> 0 < (words[block + ENTRIES] as number)) {
    const active = activeEntry(words, block, ref);
    lockEntry(words, active);
    status = acquireLocked(machine, side, block, domid, ref, active, side.owner, false);
    unlockEntry(words, active);
  }
  readUnlock(words, block + TABLE_LOCK);
  return status;
}

function stillSame(
  words: Int32Array,
  side: CopySide,
  active: number,
  pinBefore: number,
  grantee: number,
  innerDomid: number,
  innerRef: number,
): boolean {
  if (words[side.block + VERSION] !== 2 || words[active + ACTIVE_PIN] !== pinBefore) return false;
  if (pinBefore === 0) return true;
  return (
    words[active + ACTIVE_DOMID_SOURCE] === (grantee | (innerDomid << 16)) &&
    words[active + ACTIVE_MACHINE_FRAME] === side.frame &&
    words[active + ACTIVE_RANGE] === (side.start | (side.length << 16) | RANGE_SUB_PAGE) &&
    words[active + ACTIVE_TRANSITIVE_REF] === innerRef
  );
}

/** Lets go of a granted side: pins and bits, outer before inner, then the page. */
export function releaseGrant(machine: GrantMachine, side: CopySide): void {
  dropPin(machine, side.block, side.name, side.write);
  if (side.innerDomid >= 0) {
    const block = liveTable(machine, side.innerDomid);
    if (block !== 0) dropPin(machine, block, side.innerRef, side.write);
    side.innerDomid = -1;
  }
  uncountV2(machine.words, side);
  side.claimed = false;
  machine.host.releasePage(side.frame, side.write);
}

function dropPin(machine: GrantMachine, block: number, ref: number, write: boolean): void {
  const { words, halfwords } = machine;
  readLock(words, block + TABLE_LOCK, false);
  const active = activeEntry(words, block, ref);
  lockEntry(words, active);
  const pin = (words[active + ACTIVE_PIN] as number) - (write ? PIN_HOST_WRITE : PIN_HOST_READ);
  Atomics.store(words, active + ACTIVE_PIN, pin);
  reduceInUse(words, halfwords, block, ref, active, write);
  unlockEntry(words, active);
  readUnlock(words, block + TABLE_LOCK);
}

/** Counts a granted side among those that keep version 2 in force. */
function countV2(words: Int32Array, side: CopySide): void {
  if (side.countsV2) return;
  side.countsV2 = true;
  Atomics.add(words, side.block + V2_OPERATIONS, 1);
}

function uncountV2(words: Int32Array, side: CopySide): void {
  if (!side.countsV2) return;
  side.countsV2 = false;
  Atomics.sub(words, side.block + V2_OPERATIONS, 1);
}
