/**
 * The other thread of `race.test.ts`: a guest that publishes grants on its pages, changes them while dom0 uses them, and
 * revokes them; after a successful revoke nobody may write to the page.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { domainId, type GrantRef, NO_GRANT_REF, type Page } from '@netchannel2/xen';
import type { DomainHandle } from '../../workers/domain-handle';
import { joinMachine } from '../../workers/join-machine';
import { RaceControl, RacePatience, type RaceTally } from './race-control';

interface Task {
  readonly handle: DomainHandle;
  /** Word index of {@link RaceControl}. */
  readonly control: number;
  /** Word index of the table's first frame, for changes that no kernel would make. */
  readonly table: number;
}

const { handle, control, table } = workerData as Task;
const { domain, leave } = joinMachine(handle);
const MARK = 0x5a5a5a5a;
const PAGES = 4;
const LOOKS = 20;
const READONLY = 4;
const OTHER_DOMAIN = 5;
/** How often dom0 is waited for, at most, and what it should have done before a revoke. */
const PATIENCE = 2000;
const version2 = handle.grantTableVersion === 2;

const tally: RaceTally = {
  cycles: 0,
  flips: 0,
  revokedInUse: 0,
  writesAfterRevoke: 0,
  shownValid: 0,
  broken: 0,
};
const { words } = domain.memory.allocate(1) ?? { words: new Int32Array(0) };
const patience = new RacePatience(words, control + RaceControl.uses);
const area = domain.memory.allocate(PAGES);
const { entries } = domain.grants;
if (entries === undefined || area === undefined) throw new Error('no entries or no memory');
const refs: GrantRef[] = Array.from({ length: PAGES }, () => entries.allocate() ?? NO_GRANT_REF);

const entryOf = (ref: number) => table + ref * (version2 ? 4 : 2);

/** Changes what a live entry says: may it be written through, which page it is of, or whose it is. */
function flip(ref: number, frame: number, kind: number): void {
  const entry = entryOf(ref);
  if (kind % 3 === 0) Atomics.xor(words, entry, READONLY);
  if (kind % 3 === 1) Atomics.xor(words, entry, OTHER_DOMAIN << 16);
  Atomics.store(words, entry + (version2 ? 2 : 1), frame);
  tally.flips++;
}

/** A revoke that said "in use": the entry is still valid in version 1, and already invalid in version 2. */
function checkInUse(ref: number): void {
  tally.revokedInUse++;
  const type = Atomics.load(words, entryOf(ref)) & 3;
  if (type !== 0) tally.shownValid++;
  if ((type !== 0) === version2) tally.broken++;
}

function waitForUses(index: number): void {
  // A share of the cycles is revoked at once, others after dom0 was at the entry some times.
  const wanted = index % 4 === 0 ? 0 : 1 + (index % 3);
  const start = Atomics.load(words, control + RaceControl.uses);
  for (let spin = 0; spin < PATIENCE; spin++) {
    if (Atomics.load(words, control + RaceControl.uses) - start >= wanted) return;
  }
}

function cycle(page: Page, other: Page, index: number): void {
  const place = index % PAGES;
  const ref = refs[place] as GrantRef;
  const marks = [page.base >>> 2, other.base >>> 2] as const;
  // Now and then the wrong domain, or read-only.
  entries?.publishFullPage(ref, domainId(index % 7 === 0 ? OTHER_DOMAIN : 0), page.frame, index % 5 === 0);
  Atomics.store(words, control + RaceControl.live, place);
  waitForUses(index);
  if (index % 3 === 0) flip(ref, other.frame, index >>> 2);
  if (index % 6 === 0) flip(ref, page.frame, index >>> 2);
  if (index % 2 === 0) waitForUses(index + 1);
  // What dom0 begins from here on may find the entry gone; what it has begun, the revoke must see.
  while (!entries?.revoke(ref)) {
    checkInUse(ref);
    patience.tried();
    if (Atomics.load(words, control + RaceControl.stop) === 2) return;
  }
  // One reference is live at a time: now neither of its pages can be reached.
  for (const mark of marks) Atomics.store(words, mark, MARK);
  for (let look = 0; look < LOOKS; look++) {
    for (const mark of marks) if (Atomics.load(words, mark) !== MARK) tally.writesAfterRevoke++;
  }
  Atomics.add(words, control + RaceControl.cycles, 1);
  tally.cycles++;
}

parentPort?.postMessage(refs);
for (let index = 0; Atomics.load(words, control + RaceControl.stop) === 0; index++) {
  const page = area.pages[index % PAGES];
  const other = area.pages[(index + 1) % PAGES];
  if (page !== undefined && other !== undefined) cycle(page, other, index);
}
parentPort?.postMessage(tally);
leave();
