import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { domainId, type GrantRef } from '@netchannel2/xen';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Machine } from '../../machine';
import { transferList } from '../../workers/domain-handle';
import { bundleWorker, type WorkerBundle } from '../../workers/worker-bundle';

/** Times the guest publishes and revokes, at least; a soak raises them. */
const CYCLES = Number(process.env.GRANT_RACE_CYCLES ?? 20_000);
/** Uses of dom0's between two looks at the guest's table. */
const LOOK_EVERY = 64;
/** One writing use by a host mapping. */
const ONE_MAPPING = 1;

interface Tally {
  readonly cycles: number;
  readonly flips: number;
  readonly revokedInUse: number;
  readonly writesAfterRevoke: number;
}

let bundle: WorkerBundle;
beforeAll(async () => {
  bundle = await bundleWorker(new URL('./race.worker.ts', import.meta.url));
});
afterAll(() => bundle.remove());

describe.each([1, 2] as const)(
  'a guest of version %d on another thread, while dom0 maps and copies',
  (version) => {
    it('is never written to after a successful revoke, and nothing is left', async () => {
      const machine = Machine.boot({ memoryBytes: 64 << 20, guestStore: 'in-process' });
      const dom0 = machine.createDomain({ name: 'dom0' });
      const handle = machine.createWorkerDomain({ name: 'guest', grantTableVersion: version });
      const { words } = machine.hypervisor.memory;
      const stop = machine.hypervisor.allocator.allocateXenPages(1) >>> 2;
      const table = machine.hypervisor.grants.tableFrame(handle.domid, 0, false) << 10;
      const worker = new Worker(bundle.file, {
        workerData: { handle, stop, table },
        transferList: transferList(handle),
      });
      const [refs] = (await once(worker, 'message')) as [GrantRef[]];
      const own = dom0.memory.allocate(1);
      if (own === undefined) throw new Error('no memory');
      const guest = domainId(handle.domid);
      const batch = dom0.foreign.createCopyBatch(8);
      let succeeded = 0;
      const unexpected = new Set<number>();
      const note = (status: number) => {
        if (status === 0) succeeded++;
        else if (status !== -1) unexpected.add(status);
      };
      const wrongPins: unknown[] = [];
      const pins = (ref: GrantRef) =>
        machine.grantEntries(guest)?.entries.find((entry) => entry.ref === ref)?.use?.pin ?? 0;
      for (let round = 0; Atomics.load(words, stop + 1) < CYCLES; round++) {
        batch.clear();
        for (const ref of refs) {
          batch.addToGrant(own, 0, guest, ref, 0, 64);
          batch.addFromGrant(guest, ref, 0, own, 512, 64);
        }
        batch.submit();
        for (let index = 0; index < batch.length; index++) note(batch.status(index));
        const ref = refs[round % refs.length] as GrantRef;
        if (round % LOOK_EVERY === 0 && pins(ref) !== 0) wrongPins.push(['idle', pins(ref)]);
        const mapping = dom0.foreign.map(guest, [ref], 'readwrite');
        note(typeof mapping === 'number' ? mapping : 0);
        if (typeof mapping === 'number') continue;
        mapping.area.words[mapping.area.base >>> 2] = 0x0ddba11;
        if (succeeded % LOOK_EVERY === 0 && pins(ref) !== ONE_MAPPING) wrongPins.push(['mapped', pins(ref)]);
        mapping.unmap();
      }
      const answer = once(worker, 'message');
      Atomics.store(words, stop, 1);
      const [tally] = (await answer) as [Tally];
      await machine.workersGone();
      expect(tally.writesAfterRevoke).toBe(0);
      expect(wrongPins).toEqual([]);
      expect([...unexpected]).toEqual([]);
      expect(succeeded).toBeGreaterThan(0);
      expect(tally.cycles).toBeGreaterThanOrEqual(CYCLES);
      expect(tally.flips).toBeGreaterThan(0);
      expect(machine.accounting(dom0.id)?.mappings).toBe(0);
      expect(machine.leaks()).toEqual([]);
      machine.shutdown();
      if (process.env.GRANT_RACE_CYCLES !== undefined) {
        process.stdout.write(`v${version}: ${JSON.stringify(tally)}, ${succeeded} uses by dom0\n`);
      }
    });
  },
);
