/** The thread of a rival: works on another domain's grants without a pause until it is told to stop. */
import { parentPort, workerData } from 'node:worker_threads';
import { type DomainHandle, joinMachine } from '@netchannel2/hypervisor';
import type { DomainId, GrantRef } from '@netchannel2/xen';
import { type GranteeWork, granteeWork } from './grantee-work';
import { RivalWord } from './rival-words';

/** What the thread is started with. */
export interface RivalTask {
  readonly handle: DomainHandle;
  readonly granter: DomainId;
  readonly refs: readonly GrantRef[];
  readonly work: GranteeWork;
  readonly words: Int32Array;
}

/** Operations between two looks at the word that says stop. */
const ROUND = 1024;

const { handle, granter, refs, work, words } = workerData as RivalTask;
const { domain, leave } = joinMachine(handle);
const run = granteeWork(domain, granter, refs, work);
run(ROUND);
parentPort?.postMessage('running');
while (Atomics.load(words, RivalWord.stop) === 0) {
  run(ROUND);
  Atomics.add(words, RivalWord.rounds, 1);
}
leave();
