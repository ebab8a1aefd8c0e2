import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { domainId, type GrantRef } from '@netchannel2/xen';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Machine } from '../../machine';
import { transferList } from '../../workers/domain-handle';
import { bundleWorker, type WorkerBundle } from '../../workers/worker-bundle';
import { SoakProgress } from '../soak-progress';
import { RaceControl, RacePatience, type RaceTally } from './race-control';

/** Times the guest publishes and revokes, at least; a soak raises them. */
const CYCLES = Number(process.env.GRANT_RACE_CYCLES ?? 20_000);
const SOAK = process.env.GRANT_RACE_CYCLES !== undefined;
/** Uses of dom0's between two looks at the guest's table. */
const LOOK_EVERY = 64;
/** Rounds of dom0's from one mapping to the next. */
const MAP_EVERY = 3;
/** One writing use by a host mapping. */
const ONE_MAPPING = 1;

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
      const control = machine.hypervisor.allocator.allocateXenPages(1) >>> 2;
      const table = machine.hypervisor.grants.tableFrame(handle.domid, 0, false) << 10;
      const worker = new Worker(bundle.file, {
        workerData: { handle, control, table },
        transferList: transferList(handle),
      });
      const [refs] = (await once(worker, 'message')) as [GrantRef[]];
      const own = dom0.memory.allocate(1);
      if (own === undefined) throw new Error('no memory');
      const guest = domainId(handle.domid);
      const batch = dom0.foreign.createCopyBatch(4);
      const patience = new RacePatience(words, control + RaceControl.cycles);
      let succeeded = 0;
      let tried = 0;
      const unexpected = new Set<number>();
      const note = (status: number) => {
        tried++;
        if (status !== 0 && status !== -1) unexpected.add(status);
        if (status !== 0) return;
        succeeded++;
        Atomics.add(words, control + RaceControl.uses, 1);
      };
      const wrongPins: unknown[] = [];
      const pins = (ref: GrantRef) =>
        machine.grantEntries(guest)?.entries.find((entry) => entry.ref === ref)?.use?.pin ?? 0;
      const progress = new SoakProgress(`cycles of version ${version}`, CYCLES, SOAK);
      for (let round = 0; Atomics.load(words, control + RaceControl.cycles) < CYCLES; round++) {
        const ref = refs[Atomics.load(words, control + RaceControl.live)] as GrantRef;
        batch.clear();
        batch.addToGrant(own, 0, guest, ref, 0, 64);
        batch.addFromGrant(guest, ref, 0, own, 512, 64);
        batch.submit();
        for (let index = 0; index < batch.length; index++) note(batch.status(index));
        if (round % LOOK_EVERY === 0 && pins(ref) !== 0) wrongPins.push(['idle', pins(ref)]);
        if (round % LOOK_EVERY === 0) progress.at(Atomics.load(words, control + RaceControl.cycles));
        patience.tried();
        if (round % MAP_EVERY !== 0) continue;
        const mapping = dom0.foreign.map(guest, [ref], 'readwrite');
        note(typeof mapping === 'number' ? mapping : 0);
        if (typeof mapping === 'number') continue;
        mapping.area.words[mapping.area.base >>> 2] = 0x0ddba11;
        if (succeeded % LOOK_EVERY === 0 && pins(ref) !== ONE_MAPPING) wrongPins.push(['mapped', pins(ref)]);
        mapping.unmap();
      }
      const answer = once(worker, 'message');
      Atomics.store(words, control + RaceControl.stop, 1);
      const [tally] = (await answer) as [RaceTally];
      for (const ref of refs) if (pins(ref) !== 0) wrongPins.push(['at the end', pins(ref)]);
      await machine.workersGone();
      const { writesAfterRevoke, broken, revokedInUse, shownValid } = tally;
      expect({ writesAfterRevoke, broken }).toEqual({ writesAfterRevoke: 0, broken: 0 });
      // In version 1 such an entry is still valid, in version 2 already not.
      expect(shownValid).toBe(version === 1 ? revokedInUse : 0);
      expect(revokedInUse).toBeGreaterThan(0);
      expect(wrongPins).toEqual([]);
      expect([...unexpected]).toEqual([]);
      expect(tally.cycles).toBeGreaterThanOrEqual(CYCLES);
      expect(succeeded).toBeGreaterThan(tally.cycles / 4);
      expect(tally.flips).toBeGreaterThan(0);
      expect(machine.accounting(dom0.id)?.mappings).toBe(0);
      expect(machine.leaks()).toEqual([]);
      machine.shutdown();
      if (SOAK) {
        process.stdout.write(
          `v${version}: ${JSON.stringify(tally)}, ${succeeded} of ${tried} uses by dom0\n`,
        );
      }
    });
  },
);
