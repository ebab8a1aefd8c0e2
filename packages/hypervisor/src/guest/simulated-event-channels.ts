import {
  DOMID_SELF,
  type DomainId,
  type Errno,
  type EventChannelPort,
  type EventChannels,
  errnoName,
  eventChannelPort,
} from '@netchannel2/xen';
import { Counter, counterBase, SCRATCH_COUNTERS } from '../accounting/counters';
import { Block } from '../domains/domain-block';
import type { DomainTable } from '../domains/domain-table';
import type { EventDelivery } from '../event-channels/delivery';
import type { EventChannelOperations } from '../event-channels/operations';
import { notifyVcpu, portRecord } from '../event-channels/port-record';
import { SharedInfo, UPCALL_PENDING, UPCALL_PENDING_BYTE } from '../event-channels/shared-info';
import { reportError } from '../run/report-error';

type Handler = () => void;

/**
 * A guest kernel's side of event channels: all ports masked at boot, unmasked while somebody listens, upcalls scanned
 * as spec event-channels.md §2.5 orders.
 */
export class SimulatedEventChannels implements EventChannels {
  readonly #words: Int32Array;
  readonly #doubles: Float64Array;
  /** 0 once the domain has ended: from then on nothing is read or written. */
  #block: number;
  #counters: number;
  readonly #info: number;
  readonly #vcpus: number;
  /** Words of the pending bitmap behind one selector bit: 2 for a 64-bit guest. */
  readonly #wordsPerSelector: number;
  readonly #handlers: (Handler | undefined)[] = [];

  /** @param kick makes the domain run when it made an upcall due itself. */
  constructor(
    domains: DomainTable,
    private readonly domid: DomainId,
    block: number,
    private readonly operations: EventChannelOperations,
    private readonly delivery: EventDelivery,
    private readonly kick: () => void,
  ) {
    this.#words = domains.words;
    this.#doubles = domains.memory.doubles;
    this.#block = block;
    this.#counters = counterBase(block);
    this.#info = (domains.words[block + Block.sharedInfo] as number) >>> 2;
    this.#vcpus = domains.words[block + Block.vcpus] as number;
    this.#wordsPerSelector = domains.words[block + Block.selectorShift] === 6 ? 2 : 1;
    for (let word = 0; word < SharedInfo.bitmapWords; word++) {
      Atomics.store(this.#words, this.#info + SharedInfo.mask + word, -1);
    }
  }

  allocateUnbound(remote: DomainId): EventChannelPort | Errno {
    // The id may be another domain's by then.
    if (this.#block === 0) return 'ESRCH';
    this.#countHypercall();
    return portOrErrno(this.operations.allocateUnbound(this.domid, DOMID_SELF, remote));
  }

  bindInterdomain(remote: DomainId, remotePort: EventChannelPort): EventChannelPort | Errno {
    // The id may be another domain's by then.
    if (this.#block === 0) return 'ESRCH';
    this.#countHypercall();
    return portOrErrno(this.operations.bindInterdomain(this.domid, remote, remotePort));
  }

  close(port: EventChannelPort): void {
    if (this.#block === 0) return;
    this.#handlers[port] = undefined;
    this.#mask(port);
    this.#countHypercall();
    this.operations.close(this.domid, port);
  }

  notify(port: EventChannelPort): void {
    if (this.#block === 0) return;
    const counter = this.#counters + Counter.notifications;
    this.#doubles[counter] = (this.#doubles[counter] as number) + 1;
    this.delivery.send(this.#block, port);
  }

  listen(port: EventChannelPort, handler: Handler): () => void {
    if (this.#handlers[port] !== undefined) {
      throw new Error(
        `event channel ${port} of domain ${this.domid} has a listener already; stop that one first`,
      );
    }
    if (this.#block === 0) return () => {};
    while (this.#handlers.length <= port) this.#handlers.push(undefined);
    this.#handlers[port] = handler;
    this.#unmask(port);
    return () => {
      if (this.#block === 0 || this.#handlers[port] !== handler) return;
      this.#handlers[port] = undefined;
      this.#mask(port);
    };
  }

  /** An upcall of some vCPU is due. */
  get isDue(): boolean {
    if (this.#block === 0) return false;
    for (let vcpu = 0; vcpu < this.#vcpus; vcpu++) {
      const upcall = this.#info + (vcpu << SharedInfo.vcpuInfoShift) + SharedInfo.upcall;
      if ((Atomics.load(this.#words, upcall) & UPCALL_PENDING_BYTE) !== 0) return true;
    }
    return false;
  }

  /** Serves what is pending now; events that come meanwhile make another upcall due. */
  upcall(): void {
    if (this.#block === 0) return;
    for (let vcpu = 0; vcpu < this.#vcpus; vcpu++) {
      const vcpuInfo = this.#info + (vcpu << SharedInfo.vcpuInfoShift);
      Atomics.and(this.#words, vcpuInfo + SharedInfo.upcall, ~UPCALL_PENDING_BYTE);
      this.#scanSelector(vcpuInfo + SharedInfo.selector, 0);
      this.#scanSelector(vcpuInfo + SharedInfo.selector + 1, 32);
    }
  }

  /** The domain has ended: no handler is called and nothing is sent any more. */
  stop(): void {
    this.#handlers.length = 0;
    this.#block = 0;
    this.#counters = SCRATCH_COUNTERS;
  }

  #scanSelector(selector: number, first: number): void {
    if (Atomics.load(this.#words, selector) === 0) return;
    let bits = Atomics.exchange(this.#words, selector, 0);
    while (bits !== 0) {
      const bit = 31 - Math.clz32(bits & -bits);
      bits &= bits - 1;
      const word = (first + bit) * this.#wordsPerSelector;
      for (let half = 0; half < this.#wordsPerSelector; half++) this.#scanWord(word + half);
    }
  }

  #scanWord(word: number): void {
    if (this.#block === 0) return;
    const words = this.#words;
    const pending = this.#info + SharedInfo.pending + word;
    let ready = Atomics.load(words, pending) & ~Atomics.load(words, this.#info + SharedInfo.mask + word);
    while (ready !== 0) {
      const bit = 31 - Math.clz32(ready & -ready);
      ready &= ready - 1;
      // Clear first, look at the ring after: an event that comes in between is kept.
      Atomics.and(words, pending, ~(1 << bit));
      const handler = this.#handlers[(word << 5) + bit];
      if (handler === undefined) continue;
      try {
        handler();
      } catch (error) {
        reportError(error);
      }
    }
  }

  #mask(port: number): void {
    if (port < 0 || port >>> 5 >= SharedInfo.bitmapWords) return;
    Atomics.or(this.#words, this.#info + SharedInfo.mask + (port >>> 5), 1 << (port & 31));
  }

  /** The guest's own unmask, without a hypercall. */
  #unmask(port: number): void {
    const words = this.#words;
    const bit = 1 << (port & 31);
    Atomics.and(words, this.#info + SharedInfo.mask + (port >>> 5), ~bit);
    if ((Atomics.load(words, this.#info + SharedInfo.pending + (port >>> 5)) & bit) === 0) return;
    const record = portRecord(words, this.#block, port);
    const vcpuInfo = this.#info + ((record < 0 ? 0 : notifyVcpu(words, record)) << SharedInfo.vcpuInfoShift);
    const selector = port >>> (words[this.#block + Block.selectorShift] as number);
    Atomics.or(words, vcpuInfo + SharedInfo.selector + (selector >>> 5), 1 << (selector & 31));
    Atomics.or(words, vcpuInfo + SharedInfo.upcall, UPCALL_PENDING);
    this.kick();
  }

  #countHypercall(): void {
    const counter = this.#counters + Counter.hypercalls;
    this.#doubles[counter] = (this.#doubles[counter] as number) + 1;
  }
}

function portOrErrno(result: number): EventChannelPort | Errno {
  return result < 0 ? errnoName(result) : eventChannelPort(result);
}
