/**
 * Points of a connection's life crossed with what can befall it, where the guest is a thread of its own: it is destroyed from
 * another thread, or its thread ends, at whatever moment of its own that happens to be.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { type BackendBinding, bindBackends, Toolstack } from '@netchannel2/device-registry';
import { Machine, type SimulatedDomain, transferList } from '@netchannel2/hypervisor';
import { type Netback2, netback2Driver } from '@netchannel2/netback2';
import { type DomainId, domainId, type Frame } from '@netchannel2/xen';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type BundledWorker, bundledWorker } from '../bundled-worker';
import type { LifeOrder } from './life.worker';
import { tapStates } from './state-tap';
import { pause } from './thread-site';
import { numberedFrame } from './vif2-pair';

let bundle: BundledWorker;
beforeAll(async () => {
  bundle = await bundledWorker(new URL('./life.worker.ts', import.meta.url));
}, 60_000);
afterAll(() => bundle.remove());

/** Waits for something other threads do; the test's own time-out ends it. */
async function until(done: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await done())) await pause();
}

class Site {
  readonly machine = Machine.boot({ memoryBytes: 64 << 20 });
  readonly dom0: SimulatedDomain;
  readonly toolstack: Toolstack;
  backends: BackendBinding<Netback2>;
  guest = domainId(0);
  worker: Worker | undefined;
  /** The attach under way, or over, did not come to its end. */
  refused = false;
  wrote: ((step: string) => void) | undefined;
  /** Frames that arrived at the backend. */
  heard = 0;
  readonly failures: unknown[] = [];
  private before = '';

  constructor() {
    this.dom0 = this.machine.createDomain({ name: 'dom0', memoryPages: 4096 });
    tapStates(
      this.dom0,
      (path) => path.startsWith(`backend/vif2/${this.guest}/`),
      (state) => this.wrote?.(`B:${state}`),
    );
    this.toolstack = new Toolstack(this.dom0.store, { hotplug: () => Promise.resolve() });
    this.backends = this.bindBackends();
  }

  bindBackends(): BackendBinding<Netback2> {
    const backends = bindBackends(this.dom0, netback2Driver({ poolPages: 64, mapFrom: 0 }));
    backends.devices$.subscribe((device) => {
      device.frames$.subscribe((frame) => {
        this.heard += 1;
        // Every second one is looked at, and mapped for that where its sender's table is of version 1.
        if (this.heard % 2 === 0) frame.uint8(frame.byteLength - 1);
      });
    });
    return backends;
  }

  async boot(version: 1 | 2): Promise<void> {
    const handle = this.machine.createWorkerDomain({ memoryPages: 1024, grantTableVersion: version });
    this.guest = domainId(handle.domid);
    const worker = new Worker(bundle.file, { workerData: handle, transferList: transferList(handle) });
    worker.on('error', (error) => this.failures.push(error));
    this.worker = worker;
    await once(worker, 'message');
  }

  order(order: LifeOrder): void {
    this.worker?.postMessage(order);
  }

  /** Frames the guest has received. */
  async count(): Promise<number> {
    const { worker } = this;
    if (worker === undefined) return 0;
    const answer = once(worker, 'message');
    this.order('count');
    return (await answer)[0] as number;
  }

  async attach(): Promise<void> {
    this.refused = true;
    await this.toolstack.attach(this.guest, { type: 'vif2', guestTrusted: true, mac: '02:00:00:00:00:01' });
    this.refused = false;
  }

  async states(): Promise<string> {
    const [front, back] = await Promise.all([
      this.dom0.store.tryRead(`/local/domain/${this.guest}/device/vif2/0/state`),
      this.dom0.store.tryRead(`/local/domain/0/backend/vif2/${this.guest}/0/state`),
    ]);
    return `${front},${back}`;
  }

  /** Both ends say something, and the other end hears it. */
  async converse(): Promise<void> {
    this.order('talk');
    const heard = this.heard;
    const before = await this.count();
    await until(async () => {
      this.backends.devices[0]?.send(numberedFrame(1514, 1));
      await pause();
      return this.heard > heard && (await this.count()) > before;
    });
  }

  /** Stops the thread as `xl destroy` stops a domain, or finds that it has gone; then nobody holds anything. */
  async bury(): Promise<void> {
    const { guest, machine, worker } = this;
    machine.destroyDomain(guest);
    await until(() => machine.accounting(guest) === undefined);
    // Not before: a thread that is ended inside a hypercall keeps a lock of Xen's.
    await worker?.terminate();
    this.worker = undefined;
  }

  remember(): void {
    this.before = this.resources();
  }

  /** What dom0 does not have back; copies that were under way end a little later. */
  async expectNothingLeft(): Promise<void> {
    await expect.poll(() => this.machine.leaks(), { timeout: 10_000 }).toEqual([]);
    expect(this.resources()).toBe(this.before);
  }

  private resources(): string {
    const { memory, grants } = this.dom0;
    return `${memory.freePages} pages, ${grants.freeRefs} references`;
  }
}

interface Point {
  readonly what: string;
  /** The device is on its way out: no event brings it back. */
  readonly leaving?: boolean;
  readonly version?: 1 | 2;
  readonly reach: (site: Site, strike: () => void) => Promise<void>;
}

const ignored = (work: Promise<unknown>) => work.catch(() => undefined);

/** Strikes when the backend has written a state. */
async function atStep(site: Site, step: string, way: Promise<unknown>, strike: () => void): Promise<void> {
  let struck = false;
  site.wrote = (wrote) => {
    if (wrote !== step || struck) return;
    struck = true;
    strike();
  };
  await ignored(way);
  site.wrote = undefined;
  expect(struck, `${step} is written on the way`).toBe(true);
}

/** Strikes when the frontend, on its own thread, is seen to have written a state or a later one. */
async function atFrontState(site: Site, least: number, strike: () => void): Promise<void> {
  const attached = ignored(site.attach());
  await until(async () => Number((await site.states()).split(',')[0]) >= least);
  strike();
  await attached;
}

const POINTS: readonly Point[] = [
  ...['B:2', 'B:4'].map((step) => ({
    what: `${step} is written on the way up`,
    reach: (site: Site, strike: () => void) => atStep(site, step, site.attach(), strike),
  })),
  ...[3, 4].map((state) => ({
    what: `the frontend shows ${state} on the way up`,
    reach: (site: Site, strike: () => void) => atFrontState(site, state, strike),
  })),
  {
    what: 'frames go both ways',
    reach: async (site, strike) => {
      await site.attach();
      await site.converse();
      for (let number = 0; number < 30; number += 1)
        site.backends.devices[0]?.send(numberedFrame(1514, number));
      strike();
    },
  },
  {
    what: 'the backend’s user holds frames, mapped and not',
    version: 1,
    reach: async (site, strike) => {
      await site.attach();
      await site.converse();
      const held: Frame[] = [];
      const keeper = site.backends.devices[0]?.frames$.subscribe((frame) => {
        const lease = frame.retain();
        if (lease !== undefined) held.push(lease);
      });
      await until(() => held.length >= 4);
      keeper?.unsubscribe();
      strike();
      for (let turn = 0; turn < 100; turn += 1) await pause();
      for (const frame of held) expect(frame.toBytes()).toHaveLength(frame.byteLength);
      for (const frame of held) frame.release();
    },
  },
  {
    what: 'B:5 is written as it is detached, amid traffic',
    leaving: true,
    reach: async (site, strike) => {
      await site.attach();
      await site.converse();
      await atStep(site, 'B:5', site.toolstack.detach(site.guest, 'vif2', 0), strike);
    },
  },
];

interface Event {
  readonly what: string;
  /** The device is to be connected again some time later, by itself. */
  readonly survives?: boolean;
  readonly strike: (site: Site, guest: DomainId) => unknown;
}

const EVENTS: readonly Event[] = [
  {
    what: 'the guest is destroyed from another thread',
    strike: (site, guest) => site.machine.destroyDomain(guest),
  },
  {
    what: 'the guest’s thread ends without a word',
    strike: (site) => site.order('exit'),
  },
  { what: 'the frontend’s user closes it', strike: (site) => site.order('close') },
  { what: 'the backend’s user closes it', strike: (site) => site.backends.close() },
  {
    what: 'the frontend’s driver is let go and taken back',
    survives: true,
    strike: (site) => site.order('close and take back'),
  },
  {
    what: 'the backend’s driver is let go and taken back',
    survives: true,
    strike: async (site) => {
      await site.backends.close();
      site.backends = site.bindBackends();
    },
  },
  { what: 'the guest was suspended, and resumes', survives: true, strike: (site) => site.order('resume') },
  { what: 'it is detached', strike: ({ toolstack }, guest) => ignored(toolstack.detach(guest, 'vif2', 0)) },
  {
    what: 'it is detached by force',
    strike: ({ toolstack }, guest) => ignored(toolstack.detach(guest, 'vif2', 0, { force: true })),
  },
];

describe('a guest on a thread of its own', () => {
  let site: Site;
  beforeAll(async () => {
    site = new Site();
    await site.boot(1);
    await site.attach();
    await site.converse();
    await ignored(site.toolstack.detach(site.guest, 'vif2', 0));
    await site.bury();
    await site.backends.close();
    // What dom0 keeps for later is there now.
    site.remember();
  }, 60_000);
  afterEach(() => site.bury(), 60_000);
  afterAll(async () => {
    site.machine.shutdown();
    await site.machine.workersGone();
  }, 60_000);

  describe.each(POINTS)('when $what', ({ version = 2, leaving = false, reach }) => {
    it.each(EVENTS)('$what', async ({ survives = false, strike }) => {
      site.backends = site.bindBackends();
      await site.boot(version);
      const { guest } = site;
      let done: unknown;
      await reach(site, () => {
        done = strike(site, guest);
      });
      await done;
      if (survives && !leaving && !site.refused) {
        await until(async () => (await site.states()) === '4,4');
        await site.converse();
      }
      await ignored(site.toolstack.detach(guest, 'vif2', 0, { force: true }));
      await site.bury();
      await site.backends.close();
      await site.expectNothingLeft();
      expect(site.failures).toEqual([]);
    });
  });
});
