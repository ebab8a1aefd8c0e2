import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleWorker, type WorkerBundle } from '../workers/worker-bundle';
import { EventBench, SELF } from './event-bench';

const A = 1;
const B = 2;
const ROUNDS = 20_000;
const SENDS = 200_000;

let bundle: WorkerBundle;
beforeAll(async () => {
  bundle = await bundleWorker(new URL('./race.worker.ts', import.meta.url));
});
afterAll(() => bundle.remove());

async function startWorker(
  bench: EventBench,
  role: string,
): Promise<{ stop: number; result: () => Promise<number> }> {
  bench.hypervisor.goConcurrent();
  const stop = bench.hypervisor.allocator.allocateXenPages(1) >>> 2;
  const worker = new Worker(bundle.file, {
    workerData: { memory: bench.hypervisor.memory.memory, role, stop },
  });
  await once(worker, 'message');
  const result = async () => {
    const answer = once(worker, 'message');
    Atomics.store(bench.words, stop, 1);
    const [value] = (await answer) as [number];
    await worker.terminate();
    return value;
  };
  return { stop, result };
}

describe('event channels between threads', () => {
  it('E53: a send racing with close reaches nobody but the bound pair', async () => {
    const bench = EventBench.withDomains();
    bench.alloc(B, SELF, A);
    const { result } = await startWorker(bench, 'send while the peer rebinds');
    let strays = 0;
    let delivered = 0;
    for (let round = 0; round < ROUNDS; round++) {
      if (bench.bind(A, B, 1) !== 1) throw new Error('the peer’s port is not there to bind');
      bench.setPending(A, 1, 0);
      for (let spin = 0; spin < 20; spin++) if (bench.pending(A, 1) === 1) delivered++;
      bench.close(A, 1);
      // The number's next user belongs to somebody else and must hear nothing.
      if (bench.alloc(A, SELF, 3) !== 1) throw new Error('a closed port is reused at once');
      for (let spin = 0; spin < 20; spin++) if (bench.pending(A, 1) === 1) strays++;
      bench.close(A, 1);
    }
    expect(await result()).toBeGreaterThan(0);
    expect(strays).toBe(0);
    expect(delivered).toBeGreaterThan(0);
  });

  it('E54: no event is lost', async () => {
    const bench = EventBench.withDomains();
    bench.conn();
    const { stop, result } = await startWorker(bench, 'receive');
    for (let count = 1; count <= SENDS; count++) {
      Atomics.store(bench.words, stop + 1, count);
      bench.send(A, 1);
    }
    expect(await result()).toBe(SENDS);
  });
});
