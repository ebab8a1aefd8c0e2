/** Guests on threads of their own, really parallel, on dom0's bridge: forwarding races with copies, FINISHes and death. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Bridge } from '@netchannel2/bridge';
import { bindBackends, Toolstack } from '@netchannel2/device-registry';
import { type DomainHandle, Machine, transferList } from '@netchannel2/hypervisor';
import { netback2Driver } from '@netchannel2/netback2';
import { domainId } from '@netchannel2/xen';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BundledWorker, bundledWorker } from '../bundled-worker';
import type { GuestReport, GuestTask } from './guest.worker';

const FRAMES = 4000;

let bundle: BundledWorker;
beforeAll(async () => {
  bundle = await bundledWorker(new URL('./guest.worker.ts', import.meta.url));
}, 60_000);
afterAll(() => bundle.remove());

interface Guest {
  readonly handle: DomainHandle;
  readonly worker: Worker;
  /** Lets the guest send up to `total` frames (0: as before), and says how it stands. */
  ask(total: number): Promise<GuestReport>;
}

class Site {
  readonly machine = Machine.boot({ memoryBytes: 128 << 20 });
  readonly dom0 = this.machine.createDomain({ name: 'dom0', memoryPages: 8192 });
  readonly bridge = new Bridge();
  readonly backends = bindBackends(this.dom0, netback2Driver({ poolPages: 256 }));
  readonly toolstack = new Toolstack(this.dom0.store, { hotplug: () => Promise.resolve() });
  readonly failures: unknown[] = [];
  readonly workers: Worker[] = [];

  async guest(own: number, other: number, version: 1 | 2): Promise<Guest> {
    const handle = this.machine.createWorkerDomain({ memoryPages: 2048, grantTableVersion: version });
    const task: GuestTask = { handle, own, other };
    const worker = new Worker(bundle.file, { workerData: task, transferList: transferList(handle) });
    this.workers.push(worker);
    worker.on('error', (error) => this.failures.push(error));
    await once(worker, 'message');
    const known = new Set(this.backends.devices);
    await this.toolstack.attach(domainId(handle.domid), { type: 'vif2', guestTrusted: true });
    const back = this.backends.devices.find((device) => !known.has(device));
    if (back === undefined) throw new Error('the guest has no backend');
    this.bridge.add(back);
    const ask = async (total: number): Promise<GuestReport> => {
      const answer = once(worker, 'message');
      worker.postMessage(total);
      return (await answer)[0] as GuestReport;
    };
    return { handle, worker, ask };
  }

  async end(): Promise<void> {
    this.bridge.close();
    await this.backends.close();
    this.machine.shutdown();
    await this.machine.workersGone();
    for (const worker of this.workers) await worker.terminate();
  }
}

const pause = () => new Promise((resolve) => setImmediate(resolve));

describe('guests on threads of their own', () => {
  it.each([
    [2, 2],
    [1, 2],
    [2, 1],
  ] as const)(
    'tables v%i and v%i: frames cross in both directions, whole and in order',
    async (one, two) => {
      const site = new Site();
      const guests = [await site.guest(1, 2, one), await site.guest(2, 1, two)];
      // The bridge learns both; what is flooded or refused meanwhile does not matter.
      for (const guest of guests) await guest.ask(1);
      let reports: GuestReport[] = [];
      for (let allowed = 32; ; ) {
        reports = [];
        for (const guest of guests) reports.push(await guest.ask(allowed));
        const slowest = Math.min(...reports.map((report) => report.sent));
        if (slowest >= FRAMES) break;
        if (slowest === allowed) allowed += 32;
        await pause();
      }
      for (let before = -1; before !== reports.reduce((sum, report) => sum + report.received, 0); ) {
        before = reports.reduce((sum, report) => sum + report.received, 0);
        for (let turn = 0; turn < 50; turn += 1) await pause();
        reports = [];
        for (const guest of guests) reports.push(await guest.ask(0));
      }
      for (const report of reports) {
        expect(report.wrong).toBe(0);
        // A bridge drops what its next port has no room for; most frames arrive.
        expect(report.received).toBeGreaterThan(FRAMES / 2);
      }
      const forwarded = site.bridge.ports.map((port) => port.counters.forwarded);
      expect(forwarded.every((count) => count > 0)).toBe(true);
      expect(site.failures).toEqual([]);
      await site.end();
      expect(site.machine.leaks()).toEqual([]);
    },
    60_000,
  );

  it.each([1, 2, 3])(
    'one of them dies amid traffic: the other’s device lives, nothing is left (%i)',
    async () => {
      const site = new Site();
      const survivor = await site.guest(1, 2, 2);
      const victim = await site.guest(2, 1, 2);
      for (const guest of [survivor, victim]) await guest.ask(1);
      for (const guest of [survivor, victim]) await guest.ask(1_000_000);
      for (let turn = 0; turn < 20; turn += 1) await pause();
      site.machine.destroyDomain(victim.handle.domid);
      while (site.machine.accounting(victim.handle.domid) !== undefined) await pause();
      const another = await site.guest(3, 1, 2);
      const before = await survivor.ask(0);
      for (let total = 16; total <= 320; total += 16) {
        await another.ask(total);
        for (let turn = 0; turn < 5; turn += 1) await pause();
      }
      const after = await survivor.ask(0);
      expect(after.received).toBeGreaterThan(before.received);
      expect(site.failures).toEqual([]);
      await site.end();
      expect(site.machine.leaks()).toEqual([]);
    },
    60_000,
  );
});
