import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { domainId } from '@netchannel2/xen';
import { concatMap, filter, firstValueFrom } from 'rxjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Machine } from '../machine';
import { transferList } from './domain-handle';
import { bundleWorker, type WorkerBundle } from './worker-bundle';

const ROUNDS = 2000;

let bundle: WorkerBundle;
beforeAll(async () => {
  bundle = await bundleWorker(new URL('./echo.worker.ts', import.meta.url));
});
afterAll(() => bundle.remove());

async function echoGuest(machine: Machine) {
  const dom0 = machine.domain(0) ?? machine.createDomain({ name: 'dom0' });
  const handle = machine.createWorkerDomain({ name: 'echo' });
  const port = dom0.events.allocateUnbound(domainId(handle.domid));
  if (typeof port === 'string') throw new Error(port);
  const worker = new Worker(bundle.file, {
    workerData: { handle, port },
    transferList: transferList(handle),
  });
  // Once it has its reply the guest holds no lock of Xen's: from then on its thread may be terminated.
  const replied = once(worker, 'message');
  const ready = `/local/domain/${handle.domid}/data/ready`;
  await firstValueFrom(
    dom0.store.watch(ready).pipe(
      concatMap(() => dom0.store.tryRead(ready)),
      filter((value) => value === 'yes'),
    ),
  );
  await replied;
  return { dom0, handle, port, worker };
}

describe('a domain on another thread', () => {
  it('answers events and talks to xenstore', async () => {
    const machine = Machine.boot({ memoryBytes: 64 * 1024 * 1024 });
    const { dom0, handle, port, worker } = await echoGuest(machine);
    let answers = 0;
    await new Promise<void>((resolve) => {
      dom0.events.listen(port, () => {
        answers++;
        if (answers === ROUNDS) resolve();
        else dom0.events.notify(port);
      });
      dom0.events.notify(port);
    });
    expect(answers).toBe(ROUNDS);
    expect(machine.accounting(handle.domid)?.notifications).toBeGreaterThanOrEqual(ROUNDS - 1);
    const exited = once(worker, 'exit');
    machine.shutdown();
    await machine.workersGone();
    await exited;
    expect(machine.accounting(handle.domid)).toBeUndefined();
    expect(machine.leaks()).toEqual([]);
  });

  it('is destroyed when its thread is terminated', async () => {
    const machine = Machine.boot({ memoryBytes: 64 * 1024 * 1024 });
    const { dom0, handle, port, worker } = await echoGuest(machine);
    await worker.terminate();
    await machine.workersGone();
    expect(machine.accounting(handle.domid)).toBeUndefined();
    dom0.events.notify(port);
    dom0.events.close(port);
    expect(machine.leaks()).toEqual([]);
    machine.shutdown();
  });
});
