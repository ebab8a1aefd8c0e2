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
  /** Word index of a flag: 1 ends the work. */
  readonly stop: number;
}

const { handle, stop } = workerData as Task;
const { domain, leave } = joinMachine(handle);
const MARK = 0x5a5a5a5a;
const PAGES = 4;
const BATCH = 2000;
const LOOKS = 20;

interface Tally {
  cycles: number;
  revokedInUse: number;
  writesAfterRevoke: number;
}

function cycle(page: Page, index: number, tally: Tally): void {
  const { entries } = domain.grants;
  if (entries === undefined) throw new Error('no entries');
  const ref = refs[index % refs.length];
  if (ref === undefined) throw new Error('no reference');
  const { words } = page;
  const word = page.base >>> 2;
  // Now and then the wrong domain, or read-only.
  entries.publishFullPage(ref, domainId(index % 7 === 0 ? 5 : 0), page.frame, index % 5 === 0);
  for (let spin = index % 13; spin > 0; spin--) Atomics.load(words, word);
  while (!entries.revoke(ref)) {
    tally.revokedInUse++;
    if (Atomics.load(words, stop) === 2) return;
  }
  Atomics.store(words, word, MARK);
  for (let look = 0; look < LOOKS; look++) {
    if (Atomics.load(words, word) !== MARK) tally.writesAfterRevoke++;
  }
  tally.cycles++;
}

const { entries } = domain.grants;
const refs = Array.from({ length: PAGES }, () => entries?.allocate() ?? NO_GRANT_REF);
const area = domain.memory.allocate(PAGES);
const tally: Tally = { cycles: 0, revokedInUse: 0, writesAfterRevoke: 0 };
parentPort?.postMessage(refs);
const { words } = domain.memory.allocate(1) ?? { words: new Int32Array(0) };
for (let index = 0; Atomics.load(words, stop) === 0; index++) {
  for (let done = 0; done < BATCH; done++) {
    const page = area?.pages[done % PAGES];
    if (page !== undefined) cycle(page, done + index, tally);
  }
}
parentPort?.postMessage(tally);
leave();
