import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Bridge } from '@netchannel2/bridge';
import { bindBackends, Toolstack } from '@netchannel2/device-registry';
import { type DomainHandle, Machine, transferList } from '@netchannel2/hypervisor';
import { type Netback2Options, netback2Driver } from '@netchannel2/netback2';
import { domainId } from '@netchannel2/xen';
import { filter, firstValueFrom } from 'rxjs';
import type { BundledWorker } from '../bundled-worker';
import type { GuestReport, GuestTask } from './guest.worker';
import type { Version } from './vif2-pair';

export interface ThreadGuest {
  readonly handle: DomainHandle;
  readonly worker: Worker;
  /** Lets the guest send up to `total` frames (0: as before), and says how it stands. */
  ask(total: number): Promise<GuestReport>;
}

/** Lets the other threads' messages and events in. */
export const pause = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Pauses without news after which nothing is under way any more. */
const QUIET_PAUSES = 50;

export interface ThreadSiteOptions extends Netback2Options {
  /** Table version of dom0. Default 2. */
  readonly host?: Version;
}

/** Guests on threads of their own, each by a vif2 on dom0's bridge; dom0 runs on this thread. */
export class ThreadSite {
  readonly machine = Machine.boot({ memoryBytes: 128 << 20 });
  readonly bridge = new Bridge();
  readonly backends;
  readonly toolstack;
  /** What was thrown on a guest's thread. */
  readonly failures: unknown[] = [];
  private readonly workers: Worker[] = [];

  constructor(
    private readonly bundle: BundledWorker,
    { host = 2, ...back }: ThreadSiteOptions = {},
  ) {
    const dom0 = this.machine.createDomain({ name: 'dom0', memoryPages: 8192, grantTableVersion: host });
    this.backends = bindBackends(dom0, netback2Driver({ poolPages: 256, ...back }));
    this.toolstack = new Toolstack(dom0.store, { hotplug: () => Promise.resolve() });
  }

  /** Starts a guest and puts its backend on the bridge. @param mac default 02:00:00:00:00:0`own`. */
  async guest(
    version: Version,
    { mac, ...task }: Omit<GuestTask, 'handle'> & { readonly mac?: string },
  ): Promise<ThreadGuest> {
    const handle = this.machine.createWorkerDomain({ memoryPages: 2048, grantTableVersion: version });
    const workerData: GuestTask = { ...task, handle };
    const worker = new Worker(this.bundle.file, { workerData, transferList: transferList(handle) });
    this.workers.push(worker);
    worker.on('error', (error) => this.failures.push(error));
    await once(worker, 'message');
    const known = new Set(this.backends.devices);
    await this.toolstack.attach(domainId(handle.domid), {
      type: 'vif2',
      guestTrusted: true,
      mac: mac ?? `02:00:00:00:00:0${task.own}`,
    });
    const back = this.backends.devices.find((device) => !known.has(device));
    if (back === undefined) throw new Error('the guest has no backend');
    this.bridge.add(back);
    // A backend is connected before its guest is; until then the bridge has nowhere to put the guest's frames.
    await firstValueFrom(back.linkState$.pipe(filter((state) => state === 'up')));
    const ask = async (total: number): Promise<GuestReport> => {
      const answer = once(worker, 'message');
      worker.postMessage(total);
      return (await answer)[0] as GuestReport;
    };
    return { handle, worker, ask };
  }

  /** Waits until no guest hears anything new. @returns how they stand then. */
  async quiet(guests: readonly ThreadGuest[]): Promise<readonly GuestReport[]> {
    for (let before = -1; ; ) {
      const reports: GuestReport[] = [];
      for (const guest of guests) reports.push(await guest.ask(0));
      const received = reports.reduce((sum, report) => sum + report.received, 0);
      if (received === before) return reports;
      before = received;
      for (let turn = 0; turn < QUIET_PAUSES; turn += 1) await pause();
    }
  }

  /** Takes everything down; what was thrown meanwhile is in {@link failures}. */
  async end(): Promise<void> {
    this.bridge.close();
    await this.backends.close();
    this.machine.shutdown();
    await this.machine.workersGone();
    for (const worker of this.workers) await worker.terminate();
  }
}
