/**
 * Guests on threads of their own, really in parallel with each other and with dom0: brought up by the toolstack, a recorded
 * conversation there and back over the bridge, and taken down.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Bridge } from '@netchannel2/bridge';
import { bindBackends, Toolstack } from '@netchannel2/device-registry';
import { Machine, transferList } from '@netchannel2/hypervisor';
import { netbackDriver } from '@netchannel2/netback';
import { domainId } from '@netchannel2/xen';
import { concatMap, filter, firstValueFrom } from 'rxjs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type BundledWorker, bundledWorker } from '../bundled-worker';
import type { GuestTask, TalkerReport } from './guest.worker';
import { CONVERSATION } from './recorded-conversation';

const TALKER = Uint8Array.of(2, 0, 0, 0, 0, 1);
const ECHO = Uint8Array.of(2, 0, 0, 0, 0, 2);
const text = (mac: Uint8Array) =>
  Buffer.from(mac)
    .toString('hex')
    .replace(/..(?=.)/g, '$&:');

const FRAMES = CONVERSATION.map((bytes) => {
  const frame = bytes.slice();
  frame.set(ECHO, 0);
  frame.set(TALKER, 6);
  return frame;
});

let bundle: BundledWorker;
beforeAll(async () => {
  bundle = await bundledWorker(new URL('./guest.worker.ts', import.meta.url));
});
afterAll(() => bundle.remove());

it.each([1, 2])('a conversation there and back over %i queues', async (queues) => {
  const machine = Machine.boot({ memoryBytes: 128 << 20 });
  const dom0 = machine.createDomain({ name: 'dom0', memoryPages: 8192 });
  const toolstack = new Toolstack(dom0.store, { hotplug: () => Promise.resolve() });
  const bridge = new Bridge();
  const backends = bindBackends(dom0, netbackDriver());
  backends.devices$.subscribe((backend) => bridge.add(backend));
  const start = async (role: GuestTask['role'], mac: Uint8Array) => {
    const handle = machine.createWorkerDomain({ name: role, memoryPages: 4096 });
    const task: GuestTask = { handle, role, queues, frames: role === 'talker' ? FRAMES : [] };
    const worker = new Worker(bundle.file, { workerData: task, transferList: transferList(handle) });
    const ready = once(worker, 'message');
    const home = `/local/domain/${handle.domid}/name`;
    await firstValueFrom(
      dom0.store.watch(home).pipe(
        concatMap(() => dom0.store.tryRead(home)),
        filter((name) => name !== undefined),
      ),
    );
    await toolstack.attach(domainId(handle.domid), {
      type: 'vif',
      mac: text(mac),
      bridge: 'xenbr0',
    });
    expect(await ready).toEqual(['ready']);
    return { worker, domid: domainId(handle.domid) };
  };
  const echo = await start('echo', ECHO);
  const talker = await start('talker', TALKER);
  const reported = once(talker.worker, 'message');
  talker.worker.postMessage('go');
  const [report] = (await reported) as [TalkerReport];
  expect(report).toEqual({ sent: FRAMES.length, received: FRAMES.length, mismatches: 0 });
  for (const { counters } of bridge.ports) expect(counters.refused).toBe(0);
  for (const { domid } of [talker, echo]) await toolstack.detachAll(domid);
  await backends.close();
  bridge.close();
  await machine.idle();
  expect(machine.leaks().filter(({ kind }) => kind !== 'ports')).toEqual([]);
  const exited = [talker, echo].map(({ worker }) => once(worker, 'exit'));
  machine.shutdown();
  await machine.workersGone();
  await Promise.all(exited);
});
