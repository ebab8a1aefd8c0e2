// Two guests, one of them on a thread of its own: its rings, grants and events are the same, and really parallel.
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { bindFrontends } from '@netchannel2/device-registry';
import { type DomainHandle, joinMachine, transferList } from '@netchannel2/hypervisor';
import { netfront2Driver } from '@netchannel2/netfront2';
import { Lab } from '@netchannel2/testing';
import { domainId } from '@netchannel2/xen';
import { first } from 'rxjs';

if (isMainThread) await host();
else guest(workerData as DomainHandle);

/** The first thread: the machine, dom0 with its bridge, and a guest that answers with every byte of the payload one higher. */
async function host(): Promise<void> {
  const lab = await Lab.start();
  const near = await lab.addGuest({ name: 'near' });
  const answering = await near.attach('vif2', { mac: '02:00:00:00:00:0a' });
  answering.frames$.subscribe((frame) => {
    const bytes = frame.toBytes();
    const back = bytes.map((byte, at) => (at < 14 ? byte : byte + 1));
    back.set(bytes.subarray(6, 12), 0);
    back.set(bytes.subarray(0, 6), 6);
    answering.send(back);
  });

  // A domain is made here and run there: the handle carries the machine's memory, and a way to stop the domain.
  const handle = lab.machine.createWorkerDomain({ name: 'far', grantTableVersion: 2 });
  const thread = new Worker(fileURLToPath(import.meta.url), {
    workerData: handle,
    transferList: transferList(handle),
  });
  await once(thread, 'message');
  const answered = once(thread, 'message');
  await lab.toolstack.attach(domainId(handle.domid), { type: 'vif2', mac: '02:00:00:00:00:0b' });
  const [answer] = await answered;
  console.log(`the thread was answered: ${answer}`);

  // Asked by the toolstack, the thread lets go of its device; then its domain ends, and the thread with it.
  const ended = once(thread, 'exit');
  await lab.toolstack.detachAll(domainId(handle.domid));
  lab.machine.destroyDomain(handle.domid);
  await Promise.all([ended, lab.machine.workersGone()]);
  await lab.stop();
}

/** The other thread: a domain whose driver sends one frame as soon as there is a carrier, and tells what comes back. */
function guest(handle: DomainHandle): void {
  const { domain } = joinMachine(handle);
  domain.run(() => {
    const frontends = bindFrontends(domain, netfront2Driver());
    frontends.devices$.subscribe((port) => {
      const frame = new Uint8Array(1514).fill(41);
      frame.set([2, 0, 0, 0, 0, 0x0a, 2, 0, 0, 0, 0, 0x0b, 0x88, 0xb5]);
      port.linkState$.pipe(first((state) => state === 'up')).subscribe(() => port.send(frame));
      port.frames$.subscribe((answer) => {
        const last = answer.uint8(answer.byteLength - 1);
        parentPort?.postMessage(`${answer.byteLength} bytes, the last is ${last}`);
      });
    });
    parentPort?.postMessage('running');
  });
}
