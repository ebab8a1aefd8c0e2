/**
 * `GNTTABOP_copy` (spec grant-tables.md §7.4). The rules are here; a host may have kernels for the usual elements, which
 * are carried out the same way or left to these functions with nothing done.
 *
 * @packageDocumentation
 */
import { DOMID_SELF, GrantStatus } from '@netchannel2/xen';
import {
  COPY_BYTES,
  COPY_DEST,
  COPY_DEST_DOMID_OFFSET,
  COPY_LENGTH_FLAGS,
  COPY_SOURCE,
  COPY_SOURCE_DOMID_OFFSET,
  COPY_STATUS,
} from '../layout/copy-argument';
import { GNTCOPY_dest_gref, GNTCOPY_source_gref } from '../layout/operations';
import { storeLowStatus } from '../layout/table-arguments';
import { acquireForCopy, releaseGrant } from './acquire-for-copy';
import { CopySide } from './copy-side';
import { type GrantMachine, liveTable } from './machine';
import { resolveFrame } from './resolve-frame';
import { addBytesCopiedFor, addOwn, COUNT_BYTES_COPIED_BY, COUNT_COPIES } from './table-block';

const PAGE_BYTES = 4096;
const ELEMENT_WORDS = COPY_BYTES >>> 2;

/** The sides of one thread's copies. */
export class CopyState {
  readonly source = new CopySide(false);
  readonly dest = new CopySide(true);
}

export function copyGrants(
  machine: GrantMachine,
  state: CopyState,
  caller: number,
  own: number,
  address: number,
  count: number,
): number {
  const { words, host } = machine;
  const { copyPlain, copyForwarded } = host;
  const transitive = machine.options.transitive ? 1 : 0;
  // DOMID_SELF is another domain in each caller's mouth.
  state.source.domid = -1;
  state.dest.domid = -1;
  let index = 0;
  // How far the elements went whose domains the sides name.
  let judged = 0;
  while (index < count) {
    if (copyPlain !== undefined) {
      index += copyPlain(caller, address + index * COPY_BYTES, count - index);
      if (index >= count) break;
    }
    if (copyForwarded !== undefined) {
      const forwarded = copyForwarded(caller, address + index * COPY_BYTES, count - index, transitive);
      index += forwarded;
      if (forwarded !== 0) continue;
    }
    // Elements the kernels leave, and those after them that name the same.
    let element = (address >>> 2) + index * ELEMENT_WORDS;
    if (index !== judged) nameDomainsOf(machine, state, caller, element - ELEMENT_WORDS);
    for (;;) {
      const status = copyElement(machine, state, caller, own, element);
      storeLowStatus(words, element + COPY_STATUS, status);
      index++;
      element += ELEMENT_WORDS;
      if (status !== GrantStatus.okay) releaseSides(machine, state);
      if (index >= count || (copyPlain !== undefined && !usesKept(words, state, element))) break;
    }
    releaseSides(machine, state);
    judged = index;
  }
  addOwn(words, own + COUNT_COPIES, count);
  return 0;
}

/** Whether an element names a grant that is kept. */
function usesKept(words: Int32Array, state: CopyState, element: number): boolean {
  const { source, dest } = state;
  if (((words[element + COPY_SOURCE_DOMID_OFFSET] as number) & 0xffff) !== source.domid) return false;
  if (((words[element + COPY_DEST_DOMID_OFFSET] as number) & 0xffff) !== dest.domid) return false;
  return (
    (source.claimed && source.granted && words[element + COPY_SOURCE] === source.name) ||
    (dest.claimed && dest.granted && words[element + COPY_DEST] === dest.name)
  );
}

function copyElement(
  machine: GrantMachine,
  state: CopyState,
  caller: number,
  own: number,
  element: number,
): number {
  const { words, host, options } = machine;
  const { source, dest } = state;
  const lengthFlags = words[element + COPY_LENGTH_FLAGS] as number;
  const length = lengthFlags & 0xffff;
  if (length === 0 && options.zeroLengthCopy === 'succeed') return GrantStatus.okay;
  const sourceWord = words[element + COPY_SOURCE_DOMID_OFFSET] as number;
  const destWord = words[element + COPY_DEST_DOMID_OFFSET] as number;
  const sourceGranted = ((lengthFlags >>> 16) & GNTCOPY_source_gref) !== 0;
  const destGranted = ((lengthFlags >>> 16) & GNTCOPY_dest_gref) !== 0;
  // Like Xen's, this look at the domains is skipped where the element before named the same two.
  if ((sourceWord & 0xffff) !== source.domid || (destWord & 0xffff) !== dest.domid) {
    releaseSides(machine, state);
    const late = options.foreignFrameCheck === 'claimed';
    let status = nameDomain(machine, source, caller, sourceWord & 0xffff, late || sourceGranted);
    if (status !== GrantStatus.okay) return status;
    status = nameDomain(machine, dest, caller, destWord & 0xffff, late || destGranted);
    if (status !== GrantStatus.okay) return status;
  }
  let status = claim(machine, source, caller, element + COPY_SOURCE, sourceGranted);
  if (status !== GrantStatus.okay) return status;
  status = claim(machine, dest, caller, element + COPY_DEST, destGranted);
  if (status !== GrantStatus.okay) return status;
  const from = sourceWord >>> 16;
  const to = destWord >>> 16;
  if (from + length > PAGE_BYTES || to + length > PAGE_BYTES) return GrantStatus.badCopyArgument;
  if (from < source.start || from + length > source.start + source.length) return GrantStatus.generalError;
  if (to < dest.start || to + length > dest.start + dest.length) return GrantStatus.generalError;
  host.copy((dest.frame << 12) + to, (source.frame << 12) + from, length);
  addOwn(words, own + COUNT_BYTES_COPIED_BY, length);
  countFor(machine, source, caller, length);
  countFor(machine, dest, caller, length);
  return GrantStatus.okay;
}

/** Names the domains of an element that a kernel carried out: what follows it is judged by them. */
function nameDomainsOf(machine: GrantMachine, state: CopyState, caller: number, element: number): void {
  const { words } = machine;
  nameDomain(
    machine,
    state.source,
    caller,
    (words[element + COPY_SOURCE_DOMID_OFFSET] as number) & 0xffff,
    true,
  );
  nameDomain(machine, state.dest, caller, (words[element + COPY_DEST_DOMID_OFFSET] as number) & 0xffff, true);
}

/** Finds the domain of a side, which must be the caller unless any will do here. A failure forgets what was kept. */
function nameDomain(
  machine: GrantMachine,
  side: CopySide,
  caller: number,
  domid: number,
  any: boolean,
): number {
  side.domid = -1;
  if (!any && domid !== DOMID_SELF) return GrantStatus.permissionDenied;
  side.owner = domid === DOMID_SELF ? caller : domid;
  side.block = liveTable(machine, side.owner);
  if (side.block === 0) return GrantStatus.badDomain;
  side.domid = domid;
  return GrantStatus.okay;
}

/** Claims the page a side names, unless it is the one kept. */
function claim(
  machine: GrantMachine,
  side: CopySide,
  caller: number,
  nameAt: number,
  granted: boolean,
): number {
  const { words, host, options } = machine;
  const name = words[nameAt] as number;
  const beyond = !granted && words[nameAt + 1] !== 0;
  const alike =
    options.foreignFrameCheck === 'claimed'
      ? side.granted === granted
      : // A frame of the number of the reference that is kept was taken for it.
        side.granted || !granted;
  if (side.claimed && alike && side.name === name && !beyond) return GrantStatus.okay;
  releaseSide(machine, side);
  side.name = name;
  side.granted = granted;
  if (granted) return acquireForCopy(machine, side, caller);
  if (side.domid !== DOMID_SELF) {
    // Looked up before, only an element behind one of the same domains comes here. Xen had the frame looked for in that
    // domain then; no domain gets at another's pages without a grant here.
    return options.foreignFrameCheck === 'claimed' ? GrantStatus.permissionDenied : GrantStatus.badPage;
  }
  const frame = resolveFrame(machine, side.owner, beyond ? -1 : name >>> 0, side.write);
  if (frame < 0) return frame;
  if (!host.acquirePage(frame, side.owner, side.write)) {
    return side.write ? GrantStatus.generalError : GrantStatus.badPage;
  }
  side.claimed = true;
  side.frame = frame;
  side.start = 0;
  side.length = PAGE_BYTES;
  return GrantStatus.okay;
}

function releaseSides(machine: GrantMachine, state: CopyState): void {
  releaseSide(machine, state.source);
  releaseSide(machine, state.dest);
}

function releaseSide(machine: GrantMachine, side: CopySide): void {
  if (!side.claimed) return;
  if (side.granted) {
    releaseGrant(machine, side);
    return;
  }
  side.claimed = false;
  machine.host.releasePage(side.frame, side.write);
}

/** Accounts the bytes to the owner of a page that is not the caller's. */
function countFor(machine: GrantMachine, side: CopySide, caller: number, length: number): void {
  if (!side.granted) return;
  const owner = side.innerDomid >= 0 ? side.innerDomid : side.owner;
  if (owner === caller) return;
  const block = owner === side.owner ? side.block : liveTable(machine, owner);
  if (block !== 0) addBytesCopiedFor(machine.words, block, caller, length);
}
