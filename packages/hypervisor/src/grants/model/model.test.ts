/**
 * Random operations on three domains, on the implementation and on the model side by side. A failure names its seed and
 * path for fast-check, and is shrunk to the few operations that matter.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SoakProgress } from '../soak-progress';
import { A, B, C, GrantBench, SELF } from '../vectors/grant-bench';
import { GrantModel, type ModelSide } from './grant-model';

const DOMAINS = [A, B, C];
const REFS = [8, 9, 10, 11, 3];
const FLAGS = [1, 5, 0x101, 3, 0x105, 7, 0, 2, 0xfe01, 0x103];
const RANGES: readonly (readonly [number, number])[] = [
  [0, 4096],
  [100, 50],
  [4000, 200],
  [0x8064, 50],
  [0, 0],
];
const OFFSETS = [0, 100, 120, 149, 4000, 4095];
const LENGTHS = [1, 30, 50, 96, 4096, 0];
const MAPTRACK_FRAMES = 1;
const RUNS = Number(process.env.GRANT_MODEL_RUNS ?? 50);
const SOAK = process.env.GRANT_MODEL_RUNS !== undefined;
const SEED = Number(process.env.GRANT_MODEL_SEED ?? 20_110_811);
/** On average half as many; all runs together have more than 10^5. */
const MOST_OPERATIONS = 2000;

const pick = <Item>(items: readonly Item[], number: number): Item => items[number % items.length] as Item;

type Step = readonly [kind: number, a: number, b: number, c: number, d: number, e: number];
const step: fc.Arbitrary<Step> = fc.tuple(
  fc.nat(99),
  fc.nat(63),
  fc.nat(63),
  fc.nat(63),
  fc.nat(63),
  fc.nat(63),
);

/** What long runs have found: a copy of a sub page onto itself, by one grant on both sides. */
const FOUND: [Step[]][] = [
  [
    [
      [90, 44, 0, 0, 0, 0],
      [0, 47, 6, 2, 34, 24],
      [62, 55, 2, 2, 55, 0],
    ],
  ],
];

/** What `expect` costs is paid for what is wrong only: most of a run would be spent on it. */
function agree(actual: readonly number[], expected: readonly number[]): void {
  if (actual.length === expected.length && actual.every((item, index) => item === expected[index])) return;
  expect(actual).toEqual(expected);
}

class SideBySide {
  readonly bench: GrantBench;
  readonly model: GrantModel;
  /** Live mappings: caller, handle, address. */
  readonly mappings: { caller: number; handle: number; host: number }[] = [];
  /** Free addresses of each window. */
  readonly #windows = new Map<number, number[]>();

  constructor(kernel: boolean, concurrent: boolean) {
    this.bench = new GrantBench({ plain: !kernel, maxMaptrackFrames: MAPTRACK_FRAMES });
    if (concurrent) this.bench.machine.hypervisor.goConcurrent();
    const resolve = (domid: number, frame: number) =>
      frame < 0 ? -1 : this.bench.machineFrame(domid, frame >>> 0);
    this.model = new GrantModel([0, ...DOMAINS], resolve, MAPTRACK_FRAMES);
    for (const domid of DOMAINS) {
      const first = this.bench.hostAddress(domid);
      this.#windows.set(
        domid,
        Array.from({ length: 256 }, (_, index) => first + index * 4096),
      );
    }
  }

  run([kind, a, b, c, d, e]: Step): void {
    if (kind < 25) this.#publish(pick(DOMAINS, a), pick(REFS, b), pick(FLAGS, c), pick(DOMAINS, d), e);
    else if (kind < 30) this.#setFlags(pick(DOMAINS, a), pick(REFS, b), pick(FLAGS, c));
    else if (kind < 50)
      this.#map(pick(DOMAINS, a), pick([...DOMAINS, 77], b), pick([...REFS, 300, 600], c), d);
    else if (kind < 62) this.#unmap(a * 64 + b, c);
    else if (kind < 82) this.#copy(pick(DOMAINS, a), b, c, d, e);
    else if (kind < 90) this.#forward(pick(DOMAINS, a), b, c, d, e);
    else if (kind < 94) this.#setVersion(pick(DOMAINS, a), pick([2, 1, 2, 1, 3], b));
    else if (kind < 97) this.#swap(pick(DOMAINS, a), pick([...REFS, 600], b), pick([...REFS, 600], c));
    else this.#revoke(pick(DOMAINS, a), pick(REFS, b));
  }

  /** Headers, statuses and pins of everything, and that nobody lost a byte. */
  check(): void {
    for (const domid of DOMAINS) {
      agree([domid, this.bench.version(domid)], [domid, this.model.table(domid).version]);
      for (const ref of REFS) {
        this.#look(domid, ref);
        agree([domid, ref, this.bench.pin(ref, domid)], [domid, ref, this.model.pin(domid, ref)]);
      }
    }
  }

  #look(domid: number, ref: number): void {
    const header = this.bench.words[this.bench.entry(ref, domid)] as number;
    const inUse = this.model.table(domid).version === 2 ? this.bench.st(ref, domid) : header & 0x18;
    const expected = this.model.table(domid).entry(ref).header;
    agree([domid, ref, header, inUse], [domid, ref, expected, this.model.inUse(domid, ref)]);
  }

  #publish(domid: number, ref: number, flags: number, grantee: number, e: number): void {
    const { bench, model } = this;
    const frame = e % 8 === 7 ? 0x7777 : bench.frame(domid, e % 3);
    const entry = model.table(domid).entry(ref);
    const [offset, length] = pick(RANGES, e >>> 3);
    entry.header = flags | (grantee << 16);
    if (model.table(domid).version === 1) {
      bench.e(flags, grantee, frame, ref, domid);
      entry.word1 = frame;
    } else if ((flags & 3) === 3) {
      const owner = pick(DOMAINS, e);
      bench.trans(flags, grantee, owner, pick(REFS, e >>> 2), ref, domid);
      Object.assign(entry, { word1: owner, word2: pick(REFS, e >>> 2), word3: 0 });
    } else {
      bench.sub(flags, grantee, offset, length, frame, ref, domid);
      Object.assign(entry, { word1: offset | (length << 16), word2: frame, word3: 0 });
    }
  }

  #setFlags(domid: number, ref: number, flags: number): void {
    this.bench.setFlags(flags, ref, domid);
    const entry = this.model.table(domid).entry(ref);
    entry.header = (entry.header & ~0xffff) | flags;
  }

  #map(caller: number, granter: number, ref: number, flags: number): void {
    const { bench, model } = this;
    const window = this.#windows.get(caller) ?? [];
    const [host] = window;
    if (host === undefined) return;
    const readonly = flags % 2 === 0;
    bench.maps.length = 0;
    const status = bench.map(readonly ? 6 : 2, { caller, dom: granter, ref, host });
    agree([status], [model.map(caller, granter, ref, readonly)]);
    if (status !== 0) return;
    window.shift();
    const { handle } = bench.mapping();
    agree([handle], [model.lastHandle(caller)]);
    this.mappings.push({ caller, handle, host });
    this.#look(granter, ref);
  }

  #unmap(index: number, how: number): void {
    const mapping = pick(this.mappings, index);
    if (this.mappings.length === 0 || mapping === undefined) return;
    const { caller, handle, host } = mapping;
    if (how % 8 === 7) {
      // Neither an empty unmap nor one at a wrong address does anything.
      const elements = [
        [0, 0, handle],
        [4096 * 60, 0, handle],
      ] as const;
      agree(this.bench.unmapBatch(elements, caller), [0, -1]);
      return;
    }
    const twice = how % 8 === 6;
    const element = [host, 0, handle] as const;
    const statuses = this.bench.unmapBatch(twice ? [element, element] : [element], caller);
    agree(
      statuses,
      statuses.map(() => this.model.unmap(caller, handle)),
    );
    this.mappings.splice(this.mappings.indexOf(mapping), 1);
    this.#windows.get(caller)?.push(host);
  }

  #side(caller: number, number: number, offset: number): ModelSide {
    const place = { offset: pick(OFFSETS, offset) };
    if (number % 4 === 0) return { dom: SELF, frame: this.bench.frame(caller, (number >>> 2) % 3), ...place };
    return { dom: pick([...DOMAINS, ...DOMAINS, SELF, 77], number), ref: pick(REFS, number >>> 1), ...place };
  }

  #copy(caller: number, b: number, c: number, d: number, e: number): void {
    const count = 1 + (e % 3);
    const copies = Array.from({ length: count }, (_, index) => ({
      source: this.#side(caller, b + index * (e & 4), d),
      dest: this.#side(caller, c + index * (e & 8), d >>> 2),
      length: pick(LENGTHS, e >>> 2),
    }));
    this.#carryOut(caller, copies);
  }

  /** Entries published for it, then a frame: its header from an own page, the rest from a grant, to a grant or a page. */
  #forward(caller: number, b: number, c: number, d: number, e: number): void {
    const source = { dom: pick(DOMAINS, b), ref: pick(REFS, d), offset: pick(OFFSETS, c >>> 2) };
    const dest = { dom: pick(DOMAINS, c), ref: pick(REFS, d >>> 3), offset: pick(OFFSETS, b >>> 2) };
    const own = { dom: SELF, frame: this.bench.frame(caller, b % 3), offset: dest.offset };
    if (this.model.table(source.dom).version === 2 && d % 2 === 0) {
      this.#publish(pick(DOMAINS, e), pick(REFS, e >>> 2), c % 2 === 0 ? 1 : 0x101, source.dom, c & 0x38);
      this.#publish(source.dom, source.ref, 3, caller, e);
    } else this.#publish(source.dom, source.ref, 5, caller, b & 1);
    const granted = c % 4 !== 3;
    if (granted) this.#publish(dest.dom, dest.ref, 1, caller, 2);
    const rest = { source, dest: granted ? dest : own, length: pick(LENGTHS, e >>> 2) };
    this.#carryOut(caller, granted && e % 2 === 0 ? [{ source: own, dest, length: 30 }, rest] : [rest]);
  }

  #carryOut(caller: number, copies: readonly { source: ModelSide; dest: ModelSide; length: number }[]): void {
    const count = copies.length;
    const { bytes } = this.bench.machine.hypervisor.memory;
    const results = copies.map(({ source, dest, length }) => this.model.copy(caller, source, dest, length));
    const before = results.map(({ from }, index) => bytes.slice(from, from + (copies[index]?.length ?? 0)));
    const [result, statuses] = this.bench.copyBatch(copies, caller);
    agree([result, ...statuses], [0, ...results.map(({ status }) => status)]);
    const [only] = results;
    if (count === 1 && only?.status === 0 && only.to >= 0) {
      const { from, to } = only;
      const length = copies[0]?.length ?? 0;
      const moved = bytes.slice(to, to + length);
      if (Math.abs(from - to) >= length) expect(Buffer.compare(moved, before[0] ?? bytes)).toBe(0);
    }
    for (const { source, dest } of copies) {
      for (const { dom, ref } of [source, dest]) {
        if (ref !== undefined && dom !== 77) this.#look(dom === SELF ? caller : dom, ref);
      }
    }
  }

  #setVersion(domid: number, version: number): void {
    const result = this.model.setVersion(domid, version);
    agree(this.bench.setVersion(version, domid), [result, this.model.table(domid).version]);
  }

  #swap(domid: number, refA: number, refB: number): void {
    agree([this.bench.swap(refA, refB, domid)], [this.model.swap(domid, refA, refB)]);
  }

  /** The guest's own revoke, through the kernel it uses. */
  #revoke(domid: number, ref: number): void {
    const { entries } = this.bench.machine.hypervisor.memory.kernels;
    const index = this.bench.entry(ref, domid);
    const table = this.model.table(domid);
    const inUse = this.model.inUse(domid, ref) !== 0;
    const cleared =
      table.version === 2
        ? entries.revokeV2(index, this.bench.statusAt(ref, domid))
        : entries.revokeV1(index);
    agree([cleared], [inUse ? 0 : 1]);
    if (table.version === 2) table.entry(ref).header = 0;
    else if (!inUse) table.entry(ref).header &= ~0xffff;
  }
}

describe('random operations agree with the model', () => {
  let total = 0;

  it.each([
    { kernel: true, concurrent: false },
    { kernel: true, concurrent: true },
    { kernel: false, concurrent: true },
  ])('kernels: $kernel, as with several threads: $concurrent', ({ kernel, concurrent }) => {
    const runs = kernel ? RUNS : Math.ceil(RUNS / 5);
    let ran = 0;
    const progress = new SoakProgress(`runs against the model of seed ${SEED}`, runs, SOAK);
    fc.assert(
      fc.property(
        fc.noBias(fc.array(step, { minLength: 1, maxLength: MOST_OPERATIONS, size: 'max' })),
        (steps) => {
          const both = new SideBySide(kernel, concurrent);
          for (const one of steps) both.run(one);
          both.check();
          for (const { caller, handle, host } of both.mappings) both.bench.unmap(host, 0, handle, caller);
          const leaks = both.bench.machine.leaks();
          both.bench.machine.shutdown();
          expect(leaks).toEqual([]);
          total += steps.length;
          progress.at(++ran);
        },
      ),
      { seed: SEED, numRuns: runs, examples: FOUND },
    );
  });

  it('were 10^5 and more', () => {
    if (SOAK) process.stdout.write(`${total} operations agreed with the model, seed ${SEED}\n`);
    else expect(total).toBeGreaterThanOrEqual(100_000);
  });
});
