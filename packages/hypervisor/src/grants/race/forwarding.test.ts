/**
 * A receiver copies through a transitive grant while the middle and the sender, on another thread, change and withdraw
 * theirs: by the kernel for forwarding and by the rules in JavaScript.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleWorker, type WorkerBundle } from '../../workers/worker-bundle';
import { SoakProgress } from '../soak-progress';
import { A, B, C, GrantBench } from '../vectors/grant-bench';
import { type ForwardingTally, type ForwardingTask, RaceControl, RacePatience } from './race-control';

const CYCLES = Number(process.env.GRANT_FORWARDING_CYCLES ?? 20_000);
const SOAK = process.env.GRANT_FORWARDING_CYCLES !== undefined;
const OUTER = 8;
const INNER = [9, 10] as const;
/** An entry of C's that lets B write to a page the race has nothing to do with. */
const SINK = 12;
const SINK_PAGE = 2;
const SECRET = 0x73737373;

let bundle: WorkerBundle;
beforeAll(async () => {
  bundle = await bundleWorker(new URL('./forwarding.worker.ts', import.meta.url));
});
afterAll(() => bundle.remove());

const CASES = [1, 2].flatMap((inner) => [false, true].map((plain) => ({ inner: inner as 1 | 2, plain })));

describe('copies through a transitive grant while it is withdrawn', () => {
  it.each(CASES)('sender of version $inner, kernel off: $plain', async ({ inner, plain }) => {
    const b = new GrantBench({ versions: [2, 2, inner], plain });
    const control = b.machine.hypervisor.allocator.allocateXenPages(1) >>> 2;
    b.machine.hypervisor.goConcurrent();
    b.e(1, B, b.frame(C, SINK_PAGE), SINK, C);
    const place = (ref: number, domid: number) => ({
      ref,
      word: b.entry(ref, domid),
      status: b.version(domid) === 2 ? b.statusAt(ref, domid) : 0,
    });
    const task: ForwardingTask = {
      memory: b.machine.hypervisor.memory.memory,
      control,
      outer: place(OUTER, A),
      inner: INNER.map((ref) => place(ref, C)),
      pages: [0, 1].map((index) => ({ word: b.page(C, index).base >>> 2, frame: b.frame(C, index) })),
      innerVersion: inner,
      innerHeader: 1 | (A << 16),
      outerHeader: 3 | (B << 16),
      sender: C,
      secret: SECRET,
    };
    const worker = new Worker(bundle.file, { workerData: task });
    await once(worker, 'message');
    const read = (word: number) => Atomics.load(b.words, control + word);
    const own = b.page(B, 0).base >>> 2;
    const sink = b.page(C, SINK_PAGE).base >>> 2;
    const tally = { tried: 0, succeeded: 0, secrets: 0 };
    const unexpected = new Set<number>();
    const source = { dom: A, ref: OUTER };
    const copies = [
      { source, dest: { frame: b.ownFrame }, length: 64 },
      { source, dest: { dom: C, ref: SINK }, length: 64 },
    ];
    const kind = `forwarding, sender of version ${inner}, kernel ${plain ? 'off' : 'on'}`;
    const patience = new RacePatience(b.words, control + RaceControl.cycles);
    const progress = new SoakProgress(kind, CYCLES, SOAK);
    while (read(RaceControl.cycles) < CYCLES) {
      progress.at(read(RaceControl.cycles));
      patience.tried();
      const [result, statuses] = b.copyBatch(copies);
      if (result !== 0) throw new Error(`the hypercall answered ${result}`);
      statuses.forEach((status, index) => {
        tally.tried++;
        if (status !== 0 && status !== -1) unexpected.add(status);
        if (status !== 0) return;
        tally.succeeded++;
        Atomics.add(b.words, control + RaceControl.uses, 1);
        const copied = index === 0 ? own : sink;
        for (let word = 0; word < 16; word++) if (b.words[copied + word] === SECRET) tally.secrets++;
      });
    }
    const answer = once(worker, 'message');
    Atomics.store(b.words, control + RaceControl.stop, 1);
    const [guests] = (await answer) as [ForwardingTally];
    await worker.terminate();
    if (SOAK) {
      process.stdout.write(`${JSON.stringify({ inner, plain, ...guests, ...tally })}\n`);
    }
    expect(tally.secrets).toBe(0);
    expect([...unexpected]).toEqual([]);
    expect(guests.cycles).toBeGreaterThanOrEqual(CYCLES);
    expect(tally.succeeded).toBeGreaterThan(guests.cycles / 4);
    expect(guests.flips).toBeGreaterThan(0);
    for (const ref of INNER) expect(b.record(ref, C)?.use).toBeUndefined();
    expect(b.record(OUTER)?.use).toBeUndefined();
    // No copy is counted that would keep version 2 in force.
    expect(b.setVersion(1)).toEqual([0, 1]);
    b.machine.shutdown();
  });
});
