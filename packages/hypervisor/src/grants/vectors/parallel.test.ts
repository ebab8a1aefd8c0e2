/** Advisories about two CPUs in Xen at once (spec grant-tables.md §11), with two threads. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Block } from '../../domains/domain-block';
import { bundleWorker, type WorkerBundle } from '../../workers/worker-bundle';
import { A, B, type BenchOptions, C, GrantBench } from './grant-bench';
import { Control, type ParallelTask } from './parallel-task';

const ROUNDS = 1000;
/** Milliseconds after which two CPUs have locked each other out. */
const PATIENCE = 20_000;

let bundle: WorkerBundle;
beforeAll(async () => {
  bundle = await bundleWorker(new URL('./parallel.worker.ts', import.meta.url));
});
afterAll(() => bundle.remove());

/** A bench with a second CPU. */
class ParallelBench extends GrantBench {
  readonly control = this.machine.hypervisor.allocator.allocateXenPages(1) >>> 2;
  #worker: Worker | undefined;
  #begun = 0;

  async begin(role: ParallelTask['role']): Promise<void> {
    this.machine.hypervisor.goConcurrent();
    const task: ParallelTask = {
      memory: this.machine.hypervisor.memory.memory,
      role,
      control: this.control,
      argumentOfA: this.argument(A) + 4096,
      argumentOfB: this.argument(B) + 4096,
      host: this.hostAddress(B, 290),
      entry: this.entry(),
    };
    this.#worker = new Worker(bundle.file, { workerData: task });
    await once(this.#worker, 'message');
  }

  read(word: number): number {
    return Atomics.load(this.words, this.control + word);
  }

  write(word: number, value: number): void {
    Atomics.store(this.words, this.control + word, value);
  }

  /** Both threads work at once. @returns the other's status. */
  round(work: () => void): number {
    this.write(Control.begun, ++this.#begun);
    work();
    for (const start = performance.now(); this.read(Control.done) !== this.#begun; ) {
      if (performance.now() - start > PATIENCE) throw new Error('the other CPU is stuck');
    }
    return this.read(Control.status);
  }

  /** @returns what the other thread counted. */
  async end(): Promise<readonly number[]> {
    if (this.#worker === undefined) throw new Error('there is no other CPU');
    const answer = once(this.#worker, 'message');
    this.write(Control.stop, 1);
    const [tally] = (await answer) as [number[]];
    await this.#worker.terminate();
    return tally;
  }
}

/** Runs `body` where another CPU plays `role`, and ends it also where it fails. */
async function beside(
  role: ParallelTask['role'],
  options: BenchOptions,
  body: (b: ParallelBench) => void,
  prepare: (b: ParallelBench) => void = () => {},
): Promise<{ b: ParallelBench; tally: readonly number[] }> {
  const b = new ParallelBench(options);
  prepare(b);
  await b.begin(role);
  try {
    body(b);
  } catch (error) {
    await b.end();
    throw error;
  }
  return { b, tally: await b.end() };
}

describe('two CPUs in Xen at once', () => {
  it.each([1, 2] as const)(
    'XSA-73: transfers in both directions, amid operations on both tables, lock nobody out (v%d)',
    async (version) => {
      const failed: number[] = [];
      let [given, taken] = [0, 0];
      const { b, tally } = await beside(
        'transfer back',
        { kind: 'pv', versions: [version, version, 1] },
        (b) => {
          [given, taken] = [b.ownFrame, b.G];
          for (let round = 0; round < 200; round++) {
            b.e(2, B, 0, 8, A);
            b.e(2, A, 0, 8, B);
            b.write(Control.frame, taken);
            let own = 1;
            const other = b.round(() => {
              b.swap(22, 23, B);
              own = b.transfer(B, given, A, 8);
              b.querySize(B, B);
            });
            failed.push(...[own, other].filter((status) => status !== 0));
            [given, taken] = [taken, given];
          }
        },
        (b) => {
          for (const domid of [A, B]) {
            const pages = b.machine.hypervisor.domains.block(domid) + Block.maximumFrames;
            b.words[pages] = (b.words[pages] as number) + 5;
          }
        },
      );
      expect([failed, tally]).toEqual([[], [200]]);
      expect([b.host.pageOwner(given), b.host.pageOwner(taken)]).toEqual([B, A]);
    },
  );

  it('XSA-218: the parts of a mapping unmapped on two CPUs free its handle once', async () => {
    const wrong: unknown[] = [];
    const { b, tally } = await beside('unmap the device part', { kind: 'pv' }, (b) => {
      b.e(1, B, b.F);
      for (let round = 0; round < 300; round++) {
        if (b.map(3, { host: b.hostAddress(B, 5) }) !== 0) throw new Error(`round ${round}: not mapped`);
        const { handle, host, device } = b.mapping(round);
        b.write(Control.handle, handle);
        b.write(Control.device, device);
        let own = 1;
        const other = b.round(() => {
          for (let spin = round % 50; spin > 0; spin--) b.read(Control.begun);
          own = b.unmap(host, 0, handle);
        });
        const state = [own, other, b.flags(), b.pin()];
        if (state.join() !== '0,0,1,0') wrong.push(state);
      }
    });
    expect([wrong, tally]).toEqual([[], [300]]);
    expect(b.machine.accounting(B)?.mappings).toBe(0);
    expect(b.machine.leaks()).toEqual([]);
  });

  it('XSA-228: CPUs that map and unmap from the last free handles never get one twice', async () => {
    let twice = 0;
    let mapped = 0;
    const { b, tally } = await beside(
      'map and unmap',
      { maxMaptrackFrames: 1 },
      (b) => {
        const before = b.maps.length;
        for (let round = 0; round < ROUNDS; round++) {
          if (b.map(2, { ref: 8 + (round & 1), host: b.hostAddress(B, 5) }) !== 0) continue;
          const { handle, host } = b.mapping(before + mapped++);
          twice += Atomics.exchange(b.words, b.control + Control.held + handle, 1);
          Atomics.store(b.words, b.control + Control.held + handle, 0);
          if (b.unmap(host, 0, handle) !== 0) throw new Error('not unmapped');
        }
      },
      (b) => {
        b.e(1, B, b.F);
        b.e(1, B, b.G, 9);
        for (let index = 0; index < 253; index++) {
          b.map(2, { ref: 8 + (index & 1) });
          b.write(Control.held + b.mapping(index).handle, 1);
        }
      },
    );
    expect([twice, tally[1], tally[2]]).toEqual([0, 0, 0]);
    expect(mapped).toBeGreaterThan(0);
    expect([b.machine.accounting(B)?.mappings, b.pin(8), b.pin(9)]).toEqual([253, 127, 126]);
  });

  it.each([1, 2] as const)(
    'XSA-295: a guest that changes an entry without end holds nobody up (v%d)',
    async (version) => {
      const seen = new Set<number>();
      const { b, tally } = await beside(
        'hammer an entry',
        { versions: [version, 1, 1] },
        (b) => {
          for (let round = 0; round < ROUNDS; round++) {
            const status = b.map(2, { host: b.hostAddress(B, 5) });
            seen.add(status).add(b.from()).add(b.to());
            if (status === 0) b.un(b.maps.length - 1);
          }
        },
        (b) => b.e(1, B, b.F),
      );
      expect([...seen].filter((status) => status !== 0 && status !== -1)).toEqual([]);
      expect(tally[0]).toBeGreaterThan(0);
      expect([b.flags() & ~0x20, b.pin(), version === 2 ? b.st() : 0]).toEqual([1, 0, 0]);
    },
  );
});

describe('XSA-295: the attempts on an entry that changes each time', () => {
  it.each([
    ['map', (b: GrantBench) => b.map(2)],
    ['copy', (b: GrantBench) => b.from()],
  ])('are few: %s', (_name, operation) => {
    const b = new GrantBench({ plain: true });
    b.e(1, B, b.F);
    const entry = b.entry();
    const { compareExchange } = Atomics;
    let attempts = 0;
    Atomics.compareExchange = ((array: Int32Array, index: number, ...rest: [number, number]) => {
      if (array === b.words && index === entry) {
        attempts++;
        Atomics.xor(b.words, entry, 0x20);
      }
      return compareExchange(array, index, ...rest);
    }) as typeof Atomics.compareExchange;
    try {
      expect(operation(b)).toBe(-1);
    } finally {
      Atomics.compareExchange = compareExchange;
    }
    expect(attempts).toBe(5);
    expect([b.flags() & ~0x20, b.pin()]).toEqual([1, 0]);
  });

  it('are few: transfer, whose offer is withdrawn and made again', () => {
    const b = new GrantBench({ kind: 'pv' });
    const { domains } = b.machine.hypervisor;
    b.words[domains.block(A) + Block.maximumFrames] = 1000;
    b.e(2, B, 0);
    const entry = b.entry();
    const { compareExchange } = Atomics;
    let attempts = 0;
    Atomics.compareExchange = ((array: Int32Array, index: number, ...rest: [number, number]) => {
      if (array !== b.words || index !== entry) return compareExchange(array, index, ...rest);
      attempts++;
      return 0;
    }) as typeof Atomics.compareExchange;
    try {
      expect(b.transfer(B, b.ownFrame, A, 8)).toBe(-1);
    } finally {
      Atomics.compareExchange = compareExchange;
    }
    expect([attempts, b.flags()]).toEqual([5, 2]);
  });

  it('are few: a copy through a transitive entry that is something else at each second look', () => {
    const b = new GrantBench({ versions: [2, 1, 1], plain: true });
    b.e(1, B, b.F);
    expect(b.map(6)).toBe(0);
    b.e(1, A, b.frameOfC, 9, C);
    b.trans(3, B, C, 9);
    let attempts = 0;
    b.during('acquirePage', (_frame, owner) => {
      if (owner === C) attempts++;
    });
    expect(b.from()).toBe(-1);
    expect([attempts, b.flags(9, C) & 0x18]).toEqual([5, 0]);
  });
});
