/**
 * The lab the answers of `answers.txt` come from, simulated: a PV dom0 as the caller, guest 1 with a table of version 1, guests
 * 2 and 3 of version 2, and pages filled with letters. Values are written as the lab wrote them.
 */
import { type BenchSide, GrantBench, SELF } from '../grant-bench';

/** What a row does; its value must be what Xen answered to the row of that name. */
export type ReferenceRow = readonly [name: string, run: (lab: ReferenceLab) => unknown];

export const [G1, G2, G3] = [1, 2, 3] as const;
export const R = 100;
export const SINK = 101;
export const INNER = 110;
export const BEYOND = 1 << 20;
export const BAD_FRAME = 0xffff_fff0;
export const [MAP_WRITE, MAP_READ] = [2, 6] as const;
const DOM0 = 0;
const STRANGER_ANSWERS: Readonly<Record<number, string>> = {
  [-1]: '-EPERM',
  [-3]: '-ESRCH',
  [-11]: '-EAGAIN',
  [-16]: '-EBUSY',
  [-22]: '-EINVAL',
  [-34]: '-ERANGE',
  [-38]: '-ENOSYS',
};

export const hex = (value: number): string => `0x${value.toString(16)}`;
/** A hypercall's result as the lab writes it. */
export const errno = (result: number): number | string => STRANGER_ANSWERS[result] ?? result;

export class ReferenceLab {
  readonly bench = new GrantBench({
    kind: 'pv',
    versions: [1, 2, 2],
    memoryPages: 128,
    machine: { memoryBytes: 16 << 20, grantTables: { zeroLengthCopy: 'check' } },
  });
  readonly F = this.bench.frame(G1, 0);
  readonly G = this.bench.frame(G1, 1);
  readonly F2 = this.bench.frame(G2, 0);
  readonly F3 = this.bench.frame(G3, 0);
  /** A page of dom0's. */
  readonly own = this.bench.frame(DOM0, 0);

  constructor() {
    const { bench } = this;
    for (const [guest, page, letter] of [
      [G1, 0, 'F'],
      [G1, 1, 'G'],
      [G2, 0, 'f'],
      [G2, 1, 'g'],
      [G3, 0, 'c'],
      [DOM0, 0, '0'],
    ] as const) {
      bench.fill(guest, page, letter.charCodeAt(0));
    }
    this.set(G1, 1, 0, this.G, SINK);
  }

  /** Writes an entry; `frame` is by default the guest's first page. */
  set(guest: number, flags: number, grantee = DOM0, frame = this.bench.frame(guest, 0), ref = R): void {
    this.bench.e(flags, grantee, frame, ref, guest);
  }

  subPage(flags: number, offset: number, length: number): void {
    this.bench.sub(flags, DOM0, offset, length, this.F2, R, G2);
  }

  /** Makes guest 2's entry name one of another's. */
  through(flags: number, owner: number, ref = INNER): void {
    this.bench.trans(flags, DOM0, owner, ref, R, G2);
  }

  map(guest: number, flags: number, ref = R): number {
    return this.bench.map(flags, { dom: guest, ref, caller: DOM0 });
  }

  /** Unmaps all of the `index`-th mapping made. */
  unmap(index = 0, device = false): number {
    const { host, handle, device: bus } = this.bench.mapping(index);
    return this.bench.unmap(host, device ? bus : 0, handle, DOM0);
  }

  flags(guest: number, ref = R): string {
    return hex(this.bench.flags(ref, guest));
  }

  status(guest: number, ref = R): string {
    return hex(this.bench.st(ref, guest));
  }

  copy(source: BenchSide, dest: BenchSide, length = 16): number {
    return this.bench.copy(source, dest, length, DOM0);
  }

  /** Entry {@link R} of a guest as a side of a copy. */
  grant(guest: number, offset = 0, ref = R): BenchSide {
    return { dom: guest, ref, offset };
  }

  sink(offset = 0): BenchSide {
    return { dom: G1, ref: SINK, offset };
  }

  text(guest: number, page: number, offset: number, length: number): string {
    return this.bench.text(guest, page, offset, length);
  }

  setVersion(version: number): readonly [number | string, number] {
    const [result, inForce] = this.bench.setVersion(version, DOM0);
    return [errno(result), inForce];
  }

  close(): void {
    this.bench.machine.shutdown();
  }
}

export { SELF };
