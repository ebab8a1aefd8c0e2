/** A guest on a thread of its own: binds its frontend, and sends as many frames as it is told. */
import { parentPort, workerData } from 'node:worker_threads';
import { bindFrontends, type DeviceClass } from '@netchannel2/device-registry';
import { FramePool } from '@netchannel2/frames';
import { type DomainHandle, joinMachine } from '@netchannel2/hypervisor';
import { FRONTENDS } from './drivers';
import { benchFrame, Sender } from './lane';

/** What the thread is started with. */
export interface GuestTask {
  readonly handle: DomainHandle;
  readonly deviceClass: DeviceClass;
  readonly frameBytes: number;
}

const { handle, deviceClass, frameBytes } = workerData as GuestTask;
const { domain } = joinMachine(handle);

domain.run(() => {
  const frontends = bindFrontends(domain, FRONTENDS[deviceClass]());
  frontends.devices$.subscribe((port) => {
    const pool = FramePool.create(domain.memory, 256);
    if (pool === undefined) throw new Error('no pages for the frames of the benchmark');
    const sender = new Sender(domain, port, pool, benchFrame(frameBytes, 1, 2));
    parentPort?.on('message', (total: number) => sender.allow(total));
  });
  domain.store.read('name').then(
    () => parentPort?.postMessage('running'),
    (error: unknown) => {
      throw error;
    },
  );
});
