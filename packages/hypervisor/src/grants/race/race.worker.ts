/**
 * The other thread of `race.test.ts`: a guest that publishes grants on its pages, changes them while dom0 uses them, and
 * revokes them; after a successful revoke nobody may write to the page.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { domainId, NO_GRANT_REF, type Page } from '@netchannel2/xen';
import type { DomainHandle } from '../../workers/domain-handle';
import { joinMachine } from '../../workers/join-machine';

interface Task {
  readonly handle: DomainHandle;
  /** Word index of a flag: 1 ends the work. The word behind it counts the cycles done. */
  readonly stop: number;
  /** Word index of the table's first frame, for changes that no kernel would make. */
  readonly table: number;
}

const { handle, stop, table } = workerData as Task;
const { domain, leave } = joinMachine(handle);
const MARK = 0x5a5a5a5a;
const PAGES = 4;
const BATCH = 2000;
const LOOKS = 20;
const READONLY = 4;

interface Tally {
  cycles: number;
  flips: number;
  revokedInUse: number;
  writesAfterRevoke: number;
}

/** Changes what a live entry says: whether it may be written through, and which page it is of. */
function flip(ref: number, frame: number): void {
  const entry = table + ref * (handle.grantTableVersion === 2 ? 4 : 2);
  Atomics.xor(words, entry, READONLY);
  Atomics.store(words, entry + (handle.grantTableVersion === 2 ? 2 : 1), frame);
  tally.flips++;
}

function cycle(page: Page, other: Page, index: number): void {
  const { entries } = domain.grants;
  if (entries === undefined) throw new Error('no entries');
  const ref = refs[index % refs.length];
  if (ref === undefined) throw new Error('no reference');
  const marks = [page.base >>> 2, other.base >>> 2] as const;
  // Now and then the wrong domain, or read-only.
  entries.publishFullPage(ref, domainId(index % 7 === 0 ? 5 : 0), page.frame, index % 5 === 0);
  for (let spin = index % 13; spin > 0; spin--) Atomics.load(words, marks[0]);
  if (index % 3 === 0) flip(ref, other.frame);
  for (let spin = index % 17; spin > 0; spin--) Atomics.load(words, marks[1]);
  if (index % 6 === 0) flip(ref, page.frame);
  while (!entries.revoke(ref)) {
    tally.revokedInUse++;
    if (Atomics.load(words, stop) === 2) return;
  }
  // One reference is live at a time: now neither of its pages can be reached.
  for (const mark of marks) Atomics.store(words, mark, MARK);
  for (let look = 0; look < LOOKS; look++) {
    for (const mark of marks) if (Atomics.load(words, mark) !== MARK) tally.writesAfterRevoke++;
  }
  Atomics.add(words, stop + 1, 1);
  tally.cycles++;
}

const { entries } = domain.grants;
const refs = Array.from({ length: PAGES }, () => entries?.allocate() ?? NO_GRANT_REF);
const area = domain.memory.allocate(PAGES);
const tally: Tally = { cycles: 0, flips: 0, revokedInUse: 0, writesAfterRevoke: 0 };
const { words } = area ?? { words: new Int32Array(0) };
parentPort?.postMessage(refs);
for (let index = 0; Atomics.load(words, stop) === 0; index++) {
  for (let done = 0; done < BATCH; done++) {
    const page = area?.pages[done % PAGES];
    const other = area?.pages[(done + 1) % PAGES];
    if (page !== undefined && other !== undefined) cycle(page, other, done + index);
  }
}
parentPort?.postMessage(tally);
leave();
