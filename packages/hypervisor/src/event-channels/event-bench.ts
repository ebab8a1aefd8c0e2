/**
 * A bench for the tests of event channels: bare domains without a guest kernel, driven by byte-exact hypercalls.
 */
import { PAGE_SHIFT } from '@netchannel2/xen';
import { Block } from '../domains/domain-block';
import type { DomainLimits } from '../domains/domain-table';
import type { GrantOperations } from '../grants/grant-operations';
import { Hypervisor } from '../hypervisor';
import { MachineMemory } from '../machine/machine-memory';
import { EventChannelOp } from './hypercall';
import { SharedInfo } from './shared-info';

const NO_COUNTERS = {
  maps: 0,
  unmaps: 0,
  copies: 0,
  elements: 0,
  hypercalls: 0,
  bytesCopiedBy: 0,
  bytesCopiedFor: 0,
  activeGrants: 0,
  mappings: 0,
};

const NO_GRANTS: GrantOperations = {
  execute: () => -38,
  createTable: () => true,
  tableFrame: () => -38,
  list: () => undefined,
  counters: () => NO_COUNTERS,
  releaseMappings: () => {},
  destroyTable: () => {},
  waitForCopies: () => {},
};

const LIMITS: DomainLimits = {
  kind: 'pv',
  privileged: false,
  memoryPages: 4,
  mappingPages: 4,
  vcpus: 1,
  maxGrantFrames: 1,
  maxMaptrackFrames: 1,
  maxGrantVersion: 2,
  maxEventChannelPort: 1023,
  wordBits: 64,
};

export const SELF = 0x7ff0;

export class EventBench {
  readonly kicks: number[] = [];
  /** Told of domains Xen crashed. */
  crashed: (domid: number) => void = () => {};
  readonly hypervisor: Hypervisor;
  readonly words: Int32Array;

  constructor(memory = MachineMemory.create(4 * 1024 * 1024)) {
    this.words = memory.words;
    this.hypervisor = new Hypervisor(memory, {
      kicker: { kick: (domid) => this.kicks.push(domid) },
      crashed: (domid) => this.crashed(domid),
      grantOperations: () => NO_GRANTS,
    });
  }

  /** A fresh machine with domains 0 (privileged), 1, 2 and 3. */
  static withDomains(limits: Partial<DomainLimits> = {}): EventBench {
    const bench = new EventBench();
    bench.create(0, { privileged: true, maxEventChannelPort: -1 });
    for (const domid of [1, 2, 3]) bench.create(domid, limits);
    return bench;
  }

  create(domid: number, limits: Partial<DomainLimits> = {}): void {
    if (this.hypervisor.createDomain(domid, { ...LIMITS, ...limits }) < 0) throw new Error('no memory');
  }

  block(domid: number): number {
    return this.hypervisor.domains.block(domid);
  }

  /** Where a domain's first own page lies: its hypercall argument. */
  argument(domid: number): number {
    return (this.words[this.block(domid) + Block.runs] as number) << PAGE_SHIFT;
  }

  /** Makes a hypercall with the argument given as 32-bit words. */
  call(domid: number, command: number, ...words: number[]): number {
    const address = this.argument(domid);
    words.forEach((word, index) => {
      this.words[(address >>> 2) + index] = word;
    });
    return this.hypervisor.eventChannelOp(domid, command, address);
  }

  /** The same for operations with an OUT port in word `field`: the port, or the errno. */
  callForPort(domid: number, command: number, field: number, ...words: number[]): number {
    const result = this.call(domid, command, ...words);
    return result < 0 ? result : (this.words[(this.argument(domid) >>> 2) + field] as number);
  }

  alloc(caller: number, domid: number, remote: number): number {
    return this.callForPort(caller, EventChannelOp.allocUnbound, 1, domid | (remote << 16));
  }

  bind(caller: number, remote: number, port: number): number {
    return this.callForPort(caller, EventChannelOp.bindInterdomain, 2, remote, port);
  }

  bindVirq(caller: number, virq: number, vcpu = 0): number {
    return this.callForPort(caller, EventChannelOp.bindVirq, 2, virq, vcpu);
  }

  bindIpi(caller: number, vcpu = 0): number {
    return this.callForPort(caller, EventChannelOp.bindIpi, 1, vcpu);
  }

  send(caller: number, port: number): number {
    return this.call(caller, EventChannelOp.send, port);
  }

  close(caller: number, port: number): number {
    return this.call(caller, EventChannelOp.close, port);
  }

  unmask(caller: number, port: number): number {
    return this.call(caller, EventChannelOp.unmask, port);
  }

  bindVcpu(caller: number, port: number, vcpu: number): number {
    return this.call(caller, EventChannelOp.bindVcpu, port, vcpu);
  }

  reset(caller: number, domid: number): number {
    return this.call(caller, EventChannelOp.reset, domid);
  }

  /** `[status, vcpu, dom, port]`, or the errno. */
  status(caller: number, domid: number, port: number): number | number[] {
    const result = this.call(caller, EventChannelOp.status, domid, port);
    if (result < 0) return result;
    const word = this.argument(caller) >>> 2;
    return [2, 3, 4, 5].map((index) => this.words[word + index] as number);
  }

  info(domid: number): number {
    return (this.words[this.block(domid) + Block.sharedInfo] as number) >>> 2;
  }

  pending(domid: number, port: number): number {
    return ((this.words[this.info(domid) + SharedInfo.pending + (port >>> 5)] as number) >>> (port & 31)) & 1;
  }

  masked(domid: number, port: number): number {
    return ((this.words[this.info(domid) + SharedInfo.mask + (port >>> 5)] as number) >>> (port & 31)) & 1;
  }

  setPending(domid: number, port: number, value: number): void {
    this.#setBit(this.info(domid) + SharedInfo.pending, port, value);
  }

  setMask(domid: number, port: number, value: number): void {
    this.#setBit(this.info(domid) + SharedInfo.mask, port, value);
  }

  /** The low half of a vCPU's selector. */
  selector(domid: number, vcpu = 0): number {
    return this.words[this.info(domid) + (vcpu << 4) + SharedInfo.selector] as number;
  }

  upcall(domid: number, vcpu = 0): number {
    return (this.words[this.info(domid) + (vcpu << 4)] as number) & 0xff;
  }

  /** The guest takes everything that is due, as spec §2.5; answers the ports. */
  scan(domid: number, vcpu = 0): number[] {
    const words = this.words;
    const info = this.info(domid);
    const vcpuInfo = info + (vcpu << 4);
    Atomics.and(words, vcpuInfo, ~0xff);
    const ports: number[] = [];
    for (const half of [0, 1]) {
      const selector = Atomics.exchange(words, vcpuInfo + SharedInfo.selector + half, 0);
      for (let bit = 0; bit < 32; bit++) {
        if ((selector & (1 << bit)) === 0) continue;
        for (let port = (half * 32 + bit) * 64; port < (half * 32 + bit + 1) * 64; port++) {
          if (this.pending(domid, port) === 1 && this.masked(domid, port) === 0) {
            this.setPending(domid, port, 0);
            ports.push(port);
          }
        }
      }
    }
    return ports;
  }

  /** A alloc_unbound(SELF, 2) → 1; B bind_interdomain(1, 1) → 1; B acknowledged its initial event. */
  conn(): this {
    this.alloc(1, SELF, 2);
    this.bind(2, 1, 1);
    this.scan(2);
    this.kicks.length = 0;
    return this;
  }

  #setBit(base: number, port: number, value: number): void {
    const index = base + (port >>> 5);
    if (value === 0) Atomics.and(this.words, index, ~(1 << (port & 31)));
    else Atomics.or(this.words, index, 1 << (port & 31));
  }
}
