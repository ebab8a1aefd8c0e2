/**
 * A bench for the test vectors of grant tables: domains 1 (A, the granter), 2 (B, the caller) and 3 (C) beside dom0,
 * entries written as a guest writes them, and byte-exact hypercalls. Layouts are spelled out here once more, so that a
 * wrong offset in the product is not wrong in its tests too.
 */
import type { GrantEntryRecord } from '@netchannel2/grant-table';
import { VirtualTimeScheduler } from 'rxjs';
import { Block } from '../../domains/domain-block';
import type { SimulatedArea } from '../../guest/area';
import type { SimulatedDomain } from '../../guest/simulated-domain';
import { Machine } from '../../machine';
import type { DomainOptions, MachineOptions } from '../../machine-options';
import type { MachineGrantHost } from '../grant-host';

export const A = 1;
export const B = 2;
export const C = 3;
export const SELF = 0x7ff0;

export interface BenchOptions extends Omit<DomainOptions, 'name'> {
  readonly machine?: MachineOptions;
  /** Table versions of A, B and C, by default 1. */
  readonly versions?: readonly [1 | 2, 1 | 2, 1 | 2];
  /** Copies and mappings by JavaScript alone, so that `during` can look on. */
  readonly plain?: boolean;
}

/** A successful mapping. */
export interface BenchMapping {
  readonly handle: number;
  readonly host: number;
  readonly device: number;
}

export interface BenchSide {
  readonly dom?: number;
  readonly ref?: number;
  readonly frame?: number;
  readonly offset?: number;
}

export interface BenchCopy {
  readonly source: BenchSide;
  readonly dest: BenchSide;
  readonly length: number;
}

/** `during` members a test may replace, called instead of the host's. */
type Hooks = Partial<
  Pick<MachineGrantHost, 'acquirePage' | 'releasePage' | 'copy' | 'mapHostAddress' | 'unmapHostAddress'>
>;

export class GrantBench {
  readonly machine: Machine;
  readonly words: Int32Array;
  readonly halfwords: Uint16Array;
  readonly crashes: number[] = [];
  readonly maps: BenchMapping[] = [];
  /** Pages of A: guest frames F and G; one page each of B and C. */
  readonly F: number;
  readonly G: number;
  readonly ownFrame: number;
  readonly frameOfC: number;
  readonly #pages = new Map<number, readonly SimulatedArea[]>();
  readonly #arguments = new Map<number, number>();
  readonly #windows = new Map<number, number>();

  constructor(options: BenchOptions = {}) {
    const { machine, versions, plain, ...domain } = options;
    this.machine = Machine.boot({
      memoryBytes: 16 << 20,
      scheduler: new VirtualTimeScheduler(),
      ...machine,
    });
    this.machine.crashes$.subscribe(({ domid }) => this.crashes.push(domid));
    this.words = this.machine.hypervisor.memory.words;
    this.halfwords = this.machine.hypervisor.memory.halfwords;
    for (let domid = 0; domid <= C; domid++) {
      const guest = this.machine.createDomain({
        memoryPages: 64,
        mappingPages: 300,
        kind: domid === 0 ? 'pv' : 'hvm',
        ...domain,
        grantTableVersion: (domid === 0 ? undefined : versions?.[domid - 1]) ?? 1,
      });
      this.#prepare(guest);
    }
    if (plain === true) {
      const without = {
        copyPlain: undefined,
        copyForwarded: undefined,
        mapUsual: undefined,
        unmapUsual: undefined,
      };
      Object.assign(this.host, without);
    }
    this.F = this.frame(A, 0);
    this.G = this.frame(A, 1);
    this.ownFrame = this.frame(B, 0);
    this.frameOfC = this.frame(C, 0);
    this.fill(A, 0, 0x46);
    this.fill(A, 1, 0x47);
    this.fill(B, 0, 0x42);
    this.fill(C, 0, 0x43);
  }

  get host(): MachineGrantHost {
    return this.machine.hypervisor.grantHost;
  }

  domain(domid: number): SimulatedDomain {
    const domain = this.machine.domain(domid);
    if (domain === undefined) throw new Error(`no domain ${domid}`);
    return domain;
  }

  /** Guest frame of one of the pages a domain has for tests. */
  frame(domid: number, index: number): number {
    return this.page(domid, index).frame;
  }

  page(domid: number, index: number): SimulatedArea {
    const page = this.#pages.get(domid)?.[index];
    if (page === undefined) throw new Error('no such page');
    return page;
  }

  fill(domid: number, index: number, byte: number): void {
    const { bytes, base } = this.page(domid, index);
    bytes.fill(byte, base, base + 4096);
  }

  /** `length` bytes of a page as text. */
  text(domid: number, index: number, offset: number, length: number): string {
    const { bytes, base } = this.page(domid, index);
    return String.fromCharCode(...bytes.subarray(base + offset, base + offset + length));
  }

  /** Where a domain's hypercall argument lies. */
  argument(domid: number): number {
    return this.#arguments.get(domid) ?? 0;
  }

  /** A free address in a domain's window of mappings, the `ahead`-th; taken once something is mapped there. */
  hostAddress(domid = B, ahead = 0): number {
    return ((this.#windows.get(domid) ?? 0) + ahead) * 4096;
  }

  // Entries

  version(domid = A): number {
    return this.words[this.host.grantTableBlock(domid) >>> 2] as number;
  }

  /** Word index of a reference's entry. */
  entry(ref = 8, domid = A): number {
    const shift = this.version(domid) === 2 ? 8 : 9;
    const frame = this.machine.hypervisor.grants.tableFrame(domid, ref >>> shift, false);
    return frame * 1024 + (ref & ((1 << shift) - 1)) * (shift === 8 ? 4 : 2);
  }

  statusAt(ref = 8, domid = A): number {
    return this.machine.hypervisor.grants.tableFrame(domid, ref >>> 11, true) * 2048 + (ref & 2047);
  }

  /** Writes a whole-page entry in the table's version. `frame` may be up to 2^53 in version 2. */
  e(flags: number, dom: number, frame: number, ref = 8, domid = A): void {
    const entry = this.entry(ref, domid);
    if (this.version(domid) === 2) {
      this.words[entry + 2] = frame | 0;
      this.words[entry + 3] = Math.floor(frame / 2 ** 32);
    } else {
      this.words[entry + 1] = frame;
    }
    Atomics.store(this.words, entry, flags | (dom << 16));
  }

  sub(flags: number, dom: number, offset: number, length: number, frame: number, ref = 8, domid = A): void {
    const entry = this.entry(ref, domid);
    this.words[entry + 1] = offset | (length << 16);
    this.e(flags, dom, frame, ref, domid);
  }

  trans(flags: number, dom: number, owner: number, ownerRef: number, ref = 8, domid = A): void {
    const entry = this.entry(ref, domid);
    this.words[entry + 1] = owner;
    this.words[entry + 2] = ownerRef;
    this.words[entry + 3] = 0;
    Atomics.store(this.words, entry, flags | (dom << 16));
  }

  /** The guest changes an entry's flags and nothing else. */
  setFlags(flags: number, ref = 8, domid = A): void {
    const entry = this.entry(ref, domid);
    Atomics.store(this.words, entry, ((this.words[entry] as number) & ~0xffff) | flags);
  }

  orFlags(flags: number, ref = 8, domid = A): void {
    Atomics.or(this.words, this.entry(ref, domid), flags);
  }

  setFrame(frame: number, ref = 8, domid = A): void {
    this.words[this.entry(ref, domid) + (this.version(domid) === 2 ? 2 : 1)] = frame;
  }

  setDom(dom: number, ref = 8, domid = A): void {
    const entry = this.entry(ref, domid);
    Atomics.store(this.words, entry, ((this.words[entry] as number) & 0xffff) | (dom << 16));
  }

  flags(ref = 8, domid = A): number {
    return (this.words[this.entry(ref, domid)] as number) & 0xffff;
  }

  frameField(ref = 8, domid = A): number {
    return this.words[this.entry(ref, domid) + (this.version(domid) === 2 ? 2 : 1)] as number;
  }

  /** The status word of version 2. */
  st(ref = 8, domid = A): number {
    return this.halfwords[this.statusAt(ref, domid)] as number;
  }

  record(ref = 8, domid = A): GrantEntryRecord | undefined {
    return this.machine.grantEntries(domid)?.entries.find((entry) => entry.ref === ref);
  }

  pin(ref = 8, domid = A): number {
    return this.record(ref, domid)?.use?.pin ?? 0;
  }

  // Hypercalls

  call(caller: number, command: number, count: number, address = this.argument(caller)): number {
    return this.machine.hypervisor.grantTableOp(caller, command, address, count);
  }

  #store(caller: number, index: number, stride: number, values: readonly number[]): number {
    const base = (this.argument(caller) >>> 2) + index * stride;
    values.forEach((value, word) => {
      this.words[base + word] = value;
    });
    return base;
  }

  /** Maps; the status. A success is kept in `maps`. */
  map(flags: number, options: { ref?: number; dom?: number; caller?: number; host?: number } = {}): number {
    const caller = options.caller ?? B;
    const host = options.host ?? this.hostAddress(caller);
    const base = this.#store(caller, 0, 8, [
      host,
      0,
      flags,
      options.ref ?? 8,
      options.dom ?? A,
      0xdead,
      0xabcd,
      0,
    ]);
    const result = this.call(caller, 0, 1);
    if (result !== 0) throw new Error(`the hypercall answered ${result}`);
    const status = (this.words[base + 4] as number) >> 16;
    if (status === 0) {
      const device = ((this.words[base + 6] as number) >>> 0) + (this.words[base + 7] as number) * 2 ** 32;
      this.maps.push({ handle: this.words[base + 5] as number, host, device });
      if (host === this.hostAddress(caller)) this.#windows.set(caller, host / 4096 + 1);
    }
    return status;
  }

  /** The struct of the last single map: handle and device address as Xen left them. */
  mapStruct(caller = B): [number, number] {
    const base = this.argument(caller) >>> 2;
    return [this.words[base + 5] as number, this.words[base + 6] as number];
  }

  mapBatch(refs: readonly number[], options: { caller?: number; dom?: number } = {}): [number, number[]] {
    const caller = options.caller ?? B;
    refs.forEach((ref, index) => {
      this.#store(caller, index, 8, [this.hostAddress(caller, index), 0, 6, ref, options.dom ?? A, 0, 0, 0]);
    });
    const result = this.call(caller, 0, refs.length);
    const base = this.argument(caller) >>> 2;
    return [result, refs.map((_, index) => (this.words[base + index * 8 + 4] as number) >> 16)];
  }

  unmap(host: number, device: number, handle: number, caller = B): number {
    return this.unmapBatch([[host, device, handle]], caller)[0] ?? 1;
  }

  unmapBatch(elements: readonly (readonly [number, number, number])[], caller = B): number[] {
    elements.forEach(([host, device, handle], index) => {
      this.#store(caller, index, 6, [host, 0, device, Math.floor(device / 2 ** 32), handle, 0]);
    });
    const result = this.call(caller, 1, elements.length);
    if (result !== 0) throw new Error(`the hypercall answered ${result}`);
    const base = this.argument(caller) >>> 2;
    return elements.map((_, index) => ((this.words[base + index * 6 + 5] as number) << 16) >> 16);
  }

  /** Unmaps the `index`-th mapping made, by its host address. */
  un(index = 0, caller = B): number {
    const { host, handle } = this.mapping(index);
    return this.unmap(host, 0, handle, caller);
  }

  mapping(index = 0): BenchMapping {
    const mapping = this.maps[index];
    if (mapping === undefined) throw new Error(`nothing was mapped as number ${index}`);
    return mapping;
  }

  copyBatch(copies: readonly BenchCopy[], caller = B): [number, number[]] {
    copies.forEach(({ source, dest, length }, index) => {
      const flags = (source.ref === undefined ? 0 : 1) | (dest.ref === undefined ? 0 : 2);
      this.#store(caller, index, 10, [...side(source), 0, ...side(dest), 0, length | (flags << 16), 0x7777]);
    });
    const result = this.call(caller, 5, copies.length);
    const base = this.argument(caller) >>> 2;
    return [result, copies.map((_, index) => ((this.words[base + index * 10 + 9] as number) << 16) >> 16)];
  }

  copy(source: BenchSide, dest: BenchSide, length: number, caller = B): number {
    const [result, [status]] = this.copyBatch([{ source, dest, length }], caller);
    if (result !== 0 || status === undefined) throw new Error(`the hypercall answered ${result}`);
    return status;
  }

  /** Copies out of a grant of A to the start of B's page. */
  from(offset = 0, length = 4, ref = 8, dom = A): number {
    return this.copy({ dom, ref, offset }, { frame: this.ownFrame }, length);
  }

  /** Copies from the start of B's page into a grant of A. */
  to(offset = 0, length = 4, ref = 8, dom = A): number {
    return this.copy({ frame: this.ownFrame }, { dom, ref, offset }, length);
  }

  /** First bytes of B's page. */
  got(length = 4): string {
    return this.text(B, 0, 0, length);
  }

  /** The result and the struct's version. */
  setVersion(version: number, domid = A): [number, number] {
    const base = this.#store(domid, 0, 1, [version]);
    const result = this.call(domid, 8, 1);
    return [result, this.words[base] as number];
  }

  getVersion(caller: number, dom: number): number {
    const base = this.#store(caller, 0, 2, [dom, 99]);
    const result = this.call(caller, 10, 1);
    return result === 0 ? (this.words[base + 1] as number) : result;
  }

  /** `[status, frames, maximum]`. */
  querySize(caller: number, dom: number): number[] {
    const base = this.#store(caller, 0, 4, [dom, 0, 0, 0]);
    this.call(caller, 6, 1);
    return [((this.words[base + 3] as number) << 16) >> 16, ...this.words.slice(base + 1, base + 3)];
  }

  setupTable(caller: number, dom: number, frames: number, list = this.argument(caller) + 512): number {
    const base = this.#store(caller, 0, 6, [dom, frames, 0, 0, list, 0]);
    const result = this.call(caller, 2, 1);
    return result === 0 ? ((this.words[base + 2] as number) << 16) >> 16 : result;
  }

  statusFrames(caller: number, dom: number, frames: number): number {
    const base = this.#store(caller, 0, 4, [frames, dom, this.argument(caller) + 512, 0]);
    const result = this.call(caller, 9, 1);
    return result === 0 ? (this.words[base + 1] as number) >> 16 : result;
  }

  /** Machine frames listed by the last of the two operations above. */
  listed(caller: number, count: number): number[] {
    const list = (this.argument(caller) + 512) >>> 2;
    return Array.from({ length: count }, (_, index) => this.words[list + index * 2] as number);
  }

  swap(refA: number, refB: number, domid = A): number {
    const base = this.#store(domid, 0, 3, [refA, refB, 0]);
    const result = this.call(domid, 11, 1);
    return result === 0 ? ((this.words[base + 2] as number) << 16) >> 16 : result;
  }

  transfer(caller: number, frame: number, dom: number, ref: number): number {
    const base = this.#store(caller, 0, 6, [frame, 0, dom, ref, 0x55, 0]);
    const result = this.call(caller, 4, 1);
    return result === 0 ? ((this.words[base + 4] as number) << 16) >> 16 : result;
  }

  replace(host: number, newHost: number, handle: number, caller = B): number {
    const base = this.#store(caller, 0, 6, [host, 0, newHost, 0, handle, 0]);
    const result = this.call(caller, 7, 1);
    return result === 0 ? ((this.words[base + 5] as number) << 16) >> 16 : result;
  }

  /** Runs `look` each time Xen is about to call the host, and then what the host would do. */
  during(name: keyof Hooks, look: (...args: readonly number[]) => void): this {
    // The kernels do not call the host.
    Object.assign(this.host, { mapUsual: undefined, unmapUsual: undefined });
    const original = this.host[name].bind(this.host) as unknown as (...args: readonly number[]) => number;
    Object.assign(this.host, {
      [name]: (...args: readonly number[]) => {
        look(...args);
        return original(...args);
      },
    });
    return this;
  }

  /** The machine frame behind a guest frame. */
  machineFrame(domid: number, guestFrame: number): number {
    return this.host.machineFrame(domid, guestFrame, false);
  }

  #prepare(domain: SimulatedDomain): void {
    // Whatever a test writes into entries by mistake names pages of no use: references are small numbers too.
    domain.memory.allocate(16);
    const argument = domain.memory.allocate(2);
    const pages = Array.from({ length: 3 }, () => domain.memory.allocate(1));
    if (argument === undefined) throw new Error('no memory');
    this.#arguments.set(domain.id, argument.base);
    this.#pages.set(
      domain.id,
      pages.filter((page) => page !== undefined),
    );
    const block = this.machine.hypervisor.domains.block(domain.id);
    // The guest kernel's own mappings start at the window's beginning: stay out of their way.
    this.#windows.set(domain.id, this.words[block + Block.windowBase] as number);
  }
}

function side({ dom = SELF, ref, frame = 0, offset = 0 }: BenchSide): number[] {
  return [ref ?? frame, 0, dom | (offset << 16)];
}
