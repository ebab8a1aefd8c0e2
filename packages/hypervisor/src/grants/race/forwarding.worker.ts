/**
 * The other thread of `forwarding.test.ts`: both guests behind a forwarded copy. The middle has a transitive entry that
 * leads to the sender's page; one of the two changes its mind and withdraws, and then the page holds a secret for a while.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { MachineMemory } from '../../machine/machine-memory';
import {
  type EntryPlace,
  type ForwardingTally,
  type ForwardingTask,
  RaceControl,
  RacePatience,
} from './race-control';

const task = workerData as ForwardingTask;
const { words, kernels } = MachineMemory.attach(task.memory);
const { control, outer, inner, pages } = task;
const OPEN = 0x6f6f6f6f;
const READONLY = 4;
const WRONG_DOMAIN = 5 << 16;
const LOOKS = 20;
/** How often the receiver is waited for, at most. */
const PATIENCE = 2000;
const tally: ForwardingTally = { cycles: 0, flips: 0, revokedInUse: 0 };
const patience = new RacePatience(words, control + RaceControl.uses);

function fill(value: number): void {
  for (const page of pages)
    for (let word = 0; word < 16; word++) Atomics.store(words, page.word + word, value);
}

function publish(index: number): void {
  inner.forEach((entry, place) => {
    const frame = pages[place % pages.length]?.frame ?? 0;
    if (task.innerVersion === 2) kernels.entries.publishV2(entry.word, 0, frame, task.innerHeader);
    else kernels.entries.publishV1(entry.word, frame, task.innerHeader);
  });
  const ref = inner[index % inner.length]?.ref ?? 0;
  kernels.entries.publishV2(outer.word, task.sender, ref, task.outerHeader);
}

/** Something of the live entries changes: which entry is meant, which page, whose it is, whether it may be written. */
function flip(index: number): void {
  tally.flips++;
  const entry = inner[index % inner.length] as EntryPlace;
  if (index % 4 === 0) Atomics.store(words, outer.word + 2, inner[(index >>> 2) % inner.length]?.ref ?? 0);
  if (index % 4 === 1) {
    const frame = pages[(index >>> 2) % pages.length]?.frame ?? 0;
    Atomics.store(words, entry.word + (task.innerVersion === 2 ? 2 : 1), frame);
  }
  if (index % 4 === 2) Atomics.xor(words, entry.word, index % 8 === 2 ? WRONG_DOMAIN : READONLY);
  if (index % 4 === 3) Atomics.xor(words, outer.word, index % 8 === 3 ? WRONG_DOMAIN : READONLY);
}

function waitForUses(index: number): void {
  const wanted = index % 4;
  const start = Atomics.load(words, control + RaceControl.uses);
  for (let spin = 0; spin < PATIENCE; spin++) {
    if (Atomics.load(words, control + RaceControl.uses) - start >= wanted) return;
  }
}

function revoke(entry: EntryPlace, version: number): void {
  const { revokeV1, revokeV2 } = kernels.entries;
  while (!(version === 2 ? revokeV2(entry.word, entry.status) : revokeV1(entry.word))) {
    tally.revokedInUse++;
    patience.tried();
  }
}

parentPort?.postMessage('ready');
for (let index = 0; Atomics.load(words, control + RaceControl.stop) === 0; index++) {
  fill(OPEN);
  publish(index);
  waitForUses(index);
  if (index % 3 !== 0) flip(index >>> 1);
  if (index % 2 === 0) waitForUses(index + 1);
  // The middle withdraws, or the sender does; either is enough.
  if (index % 2 === 0) revoke(outer, 2);
  else for (const entry of inner) revoke(entry, task.innerVersion);
  fill(task.secret);
  for (let look = 0; look < LOOKS; look++) Atomics.load(words, outer.word);
  tally.cycles++;
  Atomics.add(words, control + RaceControl.cycles, 1);
  // Both ends are closed before the next cycle, whoever was first.
  revoke(outer, 2);
  for (const entry of inner) revoke(entry, task.innerVersion);
}
parentPort?.postMessage(tally);
