import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { bindBackends, type DeviceClass, Toolstack } from '@netchannel2/device-registry';
import { Machine, transferList } from '@netchannel2/hypervisor';
import { domainId } from '@netchannel2/xen';
import { measureRate, type Rate, type RateOptions } from '../rate';
import { BACKENDS } from './drivers';
import type { GuestTask } from './guest.worker';
import { Receiver } from './lane';

/** Frames per second from a guest on a thread of its own to dom0 on another, through the device registry. */
export async function twoWorkersRate(
  deviceClass: DeviceClass,
  frameBytes: number,
  options: RateOptions,
): Promise<Rate> {
  const machine = Machine.boot({ memoryBytes: 128 << 20 });
  const dom0 = machine.createDomain({ name: 'dom0', memoryPages: 4096 });
  const handle = machine.createWorkerDomain({ name: 'guest', memoryPages: 4096 });
  const task: GuestTask = { handle, deviceClass, frameBytes };
  const worker = new Worker(new URL('./paths/guest.worker.js', import.meta.url), {
    workerData: task,
    transferList: transferList(handle),
  });
  const failed = new Promise<never>((_, reject) => worker.once('error', reject));
  const backends = bindBackends(dom0, BACKENDS[deviceClass]());
  const toolstack = new Toolstack(dom0.store, { hotplug: () => Promise.resolve() });
  try {
    await Promise.race([failed, once(worker, 'message')]);
    await Promise.race([
      failed,
      toolstack.attach(domainId(handle.domid), {
        type: deviceClass,
        mac: '00:16:3e:00:00:01',
        guestTrusted: true,
      }),
    ]);
    const [backend] = backends.devices;
    if (backend === undefined) throw new Error(`dom0 has no ${deviceClass} after it was attached`);
    const receiver = new Receiver(backend, frameBytes);
    let total = 0;
    return await measureRate(async (count) => {
      total += count;
      const done = receiver.until(total);
      worker.postMessage(total);
      await Promise.race([failed, done]);
    }, options);
  } finally {
    machine.shutdown();
    await machine.workersGone();
    await worker.terminate();
  }
}
