/**
 * Setting and unmasking events in the 2-level bitmaps (spec event-channels.md §2.3, §2.4), and `send`, on the caller's
 * thread: the sender writes the receiver's bits.
 */
import { Block } from '../domains/domain-block';
import type { DomainTable } from '../domains/domain-table';
import { EINVAL } from '../domains/errors';
import { lock, unlock } from '../machine/lock';
import { notifyVcpu, Port, PortState, portRecord, portState } from './port-record';
import { SharedInfo, UPCALL_MASK_BYTE, UPCALL_PENDING } from './shared-info';

/** Where a vCPU whose upcall became due is made to run. */
export interface VcpuKicker {
  kick(domid: number): void;
}

/** Whoever sleeps in `SCHEDOP_poll`. */
export interface PollWaker {
  wake(domid: number, port: number): void;
}

export class EventDelivery {
  readonly #words: Int32Array;
  /** More than one thread makes hypercalls: senders take the lock of their port. */
  concurrent = false;

  constructor(
    private readonly domains: DomainTable,
    private readonly kicker: VcpuKicker,
    private readonly pollWaker: PollWaker,
  ) {
    this.#words = domains.words;
  }

  /** `EVTCHNOP_send`: 0, or a negative errno. An unbound port swallows the event. */
  send(block: number, port: number): number {
    const words = this.#words;
    const record = portRecord(words, block, port);
    if (record < 0) return EINVAL;
    if (this.concurrent) return this.#sendLocked(block, record, port);
    return this.#deliver(block, record, port);
  }

  #sendLocked(block: number, record: number, port: number): number {
    lock(this.#words, record + Port.lock);
    const result = this.#deliver(block, record, port);
    unlock(this.#words, record + Port.lock);
    return result;
  }

  #deliver(block: number, record: number, port: number): number {
    const words = this.#words;
    const state = portState(words, record);
    if (state === PortState.interdomain) {
      const remote = this.domains.block(words[record + Port.remoteDomain] as number);
      if (remote !== 0) this.setPending(remote, words[record + Port.remotePort] as number);
      return 0;
    }
    if (state === PortState.unbound) return 0;
    if (state !== PortState.ipi) return EINVAL;
    this.setPending(block, port);
    return 0;
  }

  /** Marks an event of a usable port. One atomic when it was pending already. */
  setPending(block: number, port: number): void {
    const words = this.#words;
    const info = (words[block + Block.sharedInfo] as number) >>> 2;
    const bit = 1 << (port & 31);
    if ((Atomics.or(words, info + SharedInfo.pending + (port >>> 5), bit) & bit) !== 0) return;
    if ((Atomics.load(words, info + SharedInfo.mask + (port >>> 5)) & bit) === 0) {
      this.#select(block, info, port);
    }
    if (words[block + Block.pollers] !== 0) this.pollWaker.wake(words[block + Block.domid] as number, port);
  }

  /** `EVTCHNOP_unmask` on a valid port; unusable ports keep their mask bit. */
  unmask(block: number, port: number): void {
    const words = this.#words;
    const record = portRecord(words, block, port);
    if (record < 0 || portState(words, record) <= PortState.reserved) return;
    const info = (words[block + Block.sharedInfo] as number) >>> 2;
    const bit = 1 << (port & 31);
    if ((Atomics.and(words, info + SharedInfo.mask + (port >>> 5), ~bit) & bit) === 0) return;
    if ((Atomics.load(words, info + SharedInfo.pending + (port >>> 5)) & bit) === 0) return;
    this.#select(block, info, port);
  }

  /** Flags the port's word in the selector of its vCPU; the first flag makes the upcall due. */
  #select(block: number, info: number, port: number): void {
    const words = this.#words;
    const record = portRecord(words, block, port);
    const vcpu = record < 0 ? 0 : notifyVcpu(words, record);
    const vcpuInfo = info + (vcpu << SharedInfo.vcpuInfoShift);
    const selector = port >>> (words[block + Block.selectorShift] as number);
    const bit = 1 << (selector & 31);
    if ((Atomics.or(words, vcpuInfo + SharedInfo.selector + (selector >>> 5), bit) & bit) !== 0) return;
    const upcall = Atomics.or(words, vcpuInfo + SharedInfo.upcall, UPCALL_PENDING);
    if ((upcall & UPCALL_PENDING) !== 0 || (upcall & UPCALL_MASK_BYTE) !== 0) return;
    this.kicker.kick(words[block + Block.domid] as number);
  }
}
