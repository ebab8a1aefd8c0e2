/**
 * The other thread of `race.test.ts`: domain 2 of the bench, on a hypervisor of its own over the same memory.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { MachineMemory } from '../machine/machine-memory';
import type { WasmMemory } from '../machine/webassembly';
import { EventBench } from './event-bench';

interface Task {
  readonly memory: WasmMemory;
  readonly role: 'send while the peer rebinds' | 'receive';
  /** Word index of a flag: 1 ends the work. */
  readonly stop: number;
}

const task = workerData as Task;
const bench = new EventBench(MachineMemory.attach(task.memory));
bench.hypervisor.goConcurrent();
const { words } = bench;
const B = 2;

function send(): number {
  let sends = 0;
  while (Atomics.load(words, task.stop) === 0) {
    bench.hypervisor.delivery.send(bench.block(B), 1);
    sends++;
  }
  return sends;
}

/** Takes events until told to stop; each time it reads what the sender had written before. */
function receive(): number {
  let seen = 0;
  for (;;) {
    const stopping = Atomics.load(words, task.stop) === 1;
    if (bench.scan(B).length > 0) seen = Atomics.load(words, task.stop + 1);
    else if (stopping) return seen;
  }
}

parentPort?.postMessage('ready');
parentPort?.postMessage(task.role === 'receive' ? receive() : send());
