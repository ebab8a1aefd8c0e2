/**
 * The other thread of `parallel.test.ts`: a second CPU that makes hypercalls in the name of the bench's domains, on a
 * hypervisor of its own over the same memory.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { Hypervisor } from '../../hypervisor';
import { MachineMemory } from '../../machine/machine-memory';
import { bindGrantOperations } from '../bind-grant-table';
import { A, B, SELF } from './grant-bench';
import { Control, type ParallelTask } from './parallel-task';

const task = workerData as ParallelTask;
const memory = MachineMemory.attach(task.memory);
const { words } = memory;
const hypervisor = new Hypervisor(memory, {
  kicker: { kick: () => {} },
  crashed: () => {},
  grantOperations: (host) => bindGrantOperations(host, {}),
});
hypervisor.goConcurrent();
const { control } = task;
const stopped = () => Atomics.load(words, control + Control.stop) === 1;

function call(caller: number, command: number, ...values: readonly number[]): number {
  const address = caller === A ? task.argumentOfA : task.argumentOfB;
  values.forEach((value, index) => {
    words[(address >>> 2) + index] = value;
  });
  if (hypervisor.grantTableOp(caller, command, address, 1) !== 0) throw new Error('the hypercall failed');
  return address >>> 2;
}

const low = (word: number) => ((words[word] as number) << 16) >> 16;

/** @returns `[maps, handles that somebody held already, failed unmaps]`. */
function mapAndUnmap(): number[] {
  const tally = [0, 0, 0] as [number, number, number];
  for (let round = 0; !stopped(); round++) {
    const base = call(B, 0, task.host, 0, 2, 8 + (round & 1), A, 0, 0, 0);
    if ((words[base + 4] as number) >> 16 !== 0) continue;
    const handle = words[base + 5] as number;
    tally[0]++;
    tally[1] += Atomics.exchange(words, control + Control.held + handle, 1);
    Atomics.store(words, control + Control.held + handle, 0);
    if (low(call(B, 1, task.host, 0, 0, 0, handle, 0) + 5) !== 0) tally[2]++;
  }
  return tally;
}

/** Does `work` once for each round the test begins. */
function inRounds(work: () => number): number[] {
  let rounds = 0;
  while (!stopped()) {
    if (Atomics.load(words, control + Control.begun) === rounds) continue;
    Atomics.store(words, control + Control.status, work());
    Atomics.store(words, control + Control.done, ++rounds);
  }
  return [rounds];
}

function unmapDevicePart(): number {
  const device = words[control + Control.device] as number;
  return low(call(B, 1, 0, 0, device, 0, words[control + Control.handle] as number, 0) + 5);
}

/** A gives its page to B, amid looks at and changes of both tables. */
function transferBack(): number {
  call(A, 11, 20, 21, 0);
  call(B, 2, SELF, 2, 0, 0, task.argumentOfB + 512, 0);
  const status = low(call(A, 4, words[control + Control.frame] as number, 0, B, 8, 0, 0) + 4);
  call(A, 6, SELF, 0, 0, 0);
  call(B, 11, 20, 21, 0);
  return status;
}

/** Changes a bit that means nothing to Xen, without end. */
function hammer(): number[] {
  let changes = 0;
  for (; !stopped(); changes++) Atomics.xor(words, task.entry, 0x20);
  return [changes];
}

parentPort?.postMessage([]);
const roles: Record<ParallelTask['role'], () => number[]> = {
  'map and unmap': mapAndUnmap,
  'unmap the device part': () => inRounds(unmapDevicePart),
  'transfer back': () => inRounds(transferBack),
  'hammer an entry': hammer,
};
const answer = roles[task.role]();
hypervisor.retire();
parentPort?.postMessage(answer);
