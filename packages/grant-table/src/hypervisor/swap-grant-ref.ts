/**
 * `GNTTABOP_swap_grant_ref` (spec grant-tables.md §7.10): two idle entries of the caller's own table change places.
 *
 * @packageDocumentation
 */
import { GrantStatus } from '@netchannel2/xen';
import { V1_ENTRY_WORDS, V2_ENTRY_WORDS } from '../layout/entries';
import { SWAP_BYTES, SWAP_REF_A, SWAP_REF_B, SWAP_STATUS, storeLowStatus } from '../layout/table-arguments';
import { ACTIVE_PIN, activeEntry } from './active-entry';
import { sharedEntry, statusWord } from './in-use-bits';
import type { GrantMachine } from './machine';
import { ENTRIES, TABLE_LOCK, VERSION } from './table-block';
import { writeLock, writeUnlock } from './table-lock';

export function swapGrantRefs(machine: GrantMachine, own: number, first: number, count: number): number {
  const { words } = machine;
  for (let index = 0, element = first; index < count; index++, element += SWAP_BYTES >>> 2) {
    let status: GrantStatus = GrantStatus.again;
    if (writeLock(words, own + TABLE_LOCK, machine.options.lockPatience)) {
      const refA = (words[element + SWAP_REF_A] as number) >>> 0;
      const refB = (words[element + SWAP_REF_B] as number) >>> 0;
      status = swap(machine, own, refA, refB);
      writeUnlock(words, own + TABLE_LOCK);
    }
    storeLowStatus(words, element + SWAP_STATUS, status);
  }
  return 0;
}

function swap(machine: GrantMachine, own: number, refA: number, refB: number): GrantStatus {
  const { words, halfwords } = machine;
  const entries = words[own + ENTRIES] as number;
  if (refA >= entries || refB >= entries) return GrantStatus.badGrantRef;
  if (refA === refB) return GrantStatus.okay;
  if (words[activeEntry(words, own, refA) + ACTIVE_PIN] !== 0) return GrantStatus.again;
  if (words[activeEntry(words, own, refB) + ACTIVE_PIN] !== 0) return GrantStatus.again;
  const version2 = words[own + VERSION] === 2;
  const entryA = sharedEntry(words, own, refA);
  const entryB = sharedEntry(words, own, refB);
  // Headers last, as whoever publishes an entry does.
  for (let word = (version2 ? V2_ENTRY_WORDS : V1_ENTRY_WORDS) - 1; word >= 0; word--) {
    const held = Atomics.load(words, entryA + word);
    Atomics.store(words, entryA + word, Atomics.load(words, entryB + word));
    Atomics.store(words, entryB + word, held);
  }
  if (version2) {
    const statusA = statusWord(words, own, refA);
    const statusB = statusWord(words, own, refB);
    const held = Atomics.load(halfwords, statusA);
    Atomics.store(halfwords, statusA, Atomics.load(halfwords, statusB));
    Atomics.store(halfwords, statusB, held);
  }
  return GrantStatus.okay;
}
