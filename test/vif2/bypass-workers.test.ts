/** A bypass between guests on threads of their own: set-up, switch, traffic and withdrawal race for real. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Bridge } from '@netchannel2/bridge';
import { bindBackends, Toolstack } from '@netchannel2/device-registry';
import { type DomainHandle, Machine, transferList } from '@netchannel2/hypervisor';
import { BypassProposer, netback2Driver } from '@netchannel2/netback2';
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
  readonly bypasses = new BypassProposer({ policy: { kind: 'manual' } });
  readonly backends = bindBackends(this.dom0, netback2Driver({ poolPages: 256, bypasses: this.bypasses }));
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
    await this.toolstack.attach(domainId(handle.domid), {
      type: 'vif2',
      guestTrusted: true,
      mac: `02:00:00:00:00:0${own}`,
    });
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

describe('guests on threads of their own, with a bypass amid their conversation', () => {
  it.each([
    [2, 2],
    [1, 2],
  ] as const)(
    'tables v%i and v%i: whole and in order',
    async (one, two) => {
      const site = new Site();
      const guests = [await site.guest(1, 2, one), await site.guest(2, 1, two)];
      for (const guest of guests) await guest.ask(1);
      const [first, second] = site.backends.devices;
      if (first === undefined || second === undefined) throw new Error('not both backends are there');
      let reports: GuestReport[] = [];
      const seen = new Set<string>();
      site.bypasses.bypasses$.subscribe((list) => {
        for (const { state } of list) seen.add(state);
      });
      let withdrawn: Promise<void> | undefined;
      let proposed = false;
      let crossed = 0;
      for (let allowed = 32; ; ) {
        reports = [];
        for (const guest of guests) reports.push(await guest.ask(allowed));
        const slowest = Math.min(...reports.map((report) => report.sent));
        if (!proposed && slowest > FRAMES / 4) {
          proposed = true;
          expect(site.bypasses.propose(first, second)).toBeUndefined();
        }
        const [bypass] = site.bypasses.bypasses;
        if (bypass !== undefined) crossed = Math.min(bypass.bytesToBackend, bypass.bytesToFrontend);
        if (withdrawn === undefined && bypass?.state === 'live' && slowest > FRAMES / 2 && crossed > 20_000)
          withdrawn = site.bypasses.withdraw();
        if (slowest >= FRAMES && withdrawn !== undefined) break;
        if (slowest === allowed) allowed += 32;
        await pause();
      }
      await withdrawn;
      for (let before = -1; before !== reports.reduce((sum, report) => sum + report.received, 0); ) {
        before = reports.reduce((sum, report) => sum + report.received, 0);
        for (let turn = 0; turn < 50; turn += 1) await pause();
        reports = [];
        for (const guest of guests) reports.push(await guest.ask(0));
      }
      // Some hundred packets each way, at the least.
      expect(crossed).toBeGreaterThan(20_000);
      expect([...seen]).toEqual(['front', 'back', 'live', 'disabling', 'detaching']);
      expect(site.failures).toEqual([]);
      for (const report of reports) {
        expect(report.wrong).toBe(0);
        expect(report.received).toBeGreaterThan(FRAMES / 2);
      }
      await site.end();
      expect(site.machine.leaks()).toEqual([]);
    },
    60_000,
  );
});
