/**
 * Xen as one thread runs it: the operations over the shared state. Every thread of a machine builds its own over the
 * same memory; nothing here holds state that another thread would miss.
 */
import type { SchedulerLike } from 'rxjs';
import { Block, DomainState } from './domains/domain-block';
import { type DomainLimits, DomainTable } from './domains/domain-table';
import { ESRCH } from './domains/errors';
import { GracePeriod } from './domains/grace-period';
import { EventDelivery, type VcpuKicker } from './event-channels/delivery';
import { EventChannelHypercall } from './event-channels/hypercall';
import { EventChannelOperations } from './event-channels/operations';
import { Pollers } from './event-channels/pollers';
import { Virq } from './event-channels/virqs';
import { MachineGrantHost } from './grants/grant-host';
import type { GrantOperations } from './grants/grant-operations';
import { FrameTable } from './machine/frame-table';
import { lock, unlock } from './machine/lock';
import { HEADER, type MachineMemory } from './machine/machine-memory';
import { PageAllocator } from './machine/page-allocator';

const CONTROL_DOMAIN = 0;

export interface HypervisorOptions {
  readonly kicker: VcpuKicker;
  /** Xen crashed a domain; it runs no more. */
  readonly crashed: (domid: number, reason: string) => void;
  /** Timeouts of polls. */
  readonly scheduler?: SchedulerLike | undefined;
  readonly grantOperations: (host: MachineGrantHost) => GrantOperations;
}

export class Hypervisor {
  readonly frames: FrameTable;
  readonly allocator: PageAllocator;
  readonly domains: DomainTable;
  readonly pollers: Pollers;
  readonly delivery: EventDelivery;
  readonly events: EventChannelOperations;
  readonly eventHypercall: EventChannelHypercall;
  readonly grantHost: MachineGrantHost;
  readonly grants: GrantOperations;
  /** Word index of this thread's record. */
  readonly thread: number;
  readonly #grace: GracePeriod;
  #concurrent = false;
  readonly #words: Int32Array;

  constructor(
    readonly memory: MachineMemory,
    options: HypervisorOptions,
  ) {
    this.#words = memory.words;
    this.frames = new FrameTable(memory);
    this.allocator = new PageAllocator(memory, this.frames);
    this.domains = new DomainTable(memory, this.frames, this.allocator);
    this.pollers = new Pollers(this.domains, options.scheduler);
    this.delivery = new EventDelivery(this.domains, options.kicker, this.pollers);
    this.events = new EventChannelOperations(this.domains, this.delivery);
    this.eventHypercall = new EventChannelHypercall(this.domains, this.delivery, this.events);
    this.grantHost = new MachineGrantHost(
      this.domains,
      (domid, reason) => {
        this.crash(domid);
        options.crashed(domid, reason);
      },
      (domid) => this.grants.waitForCopies(domid),
    );
    this.grants = options.grantOperations(this.grantHost);
    this.thread = this.allocator.allocateXenPages(1) >>> 2;
    this.#grace = new GracePeriod(memory);
    const number = this.thread === 0 ? -1 : this.#grace.register(this.thread);
    if (number < 0) {
      throw new RangeError(
        'the machine has no room for another thread: it has 64, and a page of memory for each',
      );
    }
    memory.kernels.useLane(number);
  }

  /** From now on other threads make hypercalls too. */
  goConcurrent(): void {
    Atomics.store(this.#words, HEADER.concurrent, 1);
    this.#concurrent = true;
    this.delivery.concurrent = true;
  }

  /** This thread makes no hypercalls any more. */
  retire(): void {
    this.#grace.unregister(this.thread);
    this.allocator.freeXenPages(this.thread << 2, 1);
  }

  /** @returns the new domain's block, or -1 when the machine is out of memory. */
  createDomain(domid: number, limits: DomainLimits): number {
    this.reap();
    const block = this.domains.create(domid, limits);
    if (block < 0) return block;
    const { maxGrantFrames, maxMaptrackFrames, maxGrantVersion: maxVersion } = limits;
    if (this.grants.createTable(domid, { maxGrantFrames, maxMaptrackFrames, maxVersion })) return block;
    this.destroyDomain(domid);
    return -1;
  }

  eventChannelOp(caller: number, command: number, address: number): number {
    return this.domains.block(caller) === 0 ? ESRCH : this.eventHypercall.execute(caller, command, address);
  }

  grantTableOp(caller: number, command: number, address: number, count: number): number {
    if (this.domains.block(caller) === 0) return ESRCH;
    if (this.#concurrent) this.#grace.enter(this.thread);
    const result = this.grants.execute(caller, command, address, count);
    if (this.#concurrent) this.#grace.leave(this.thread);
    if (this.#words[HEADER.reapPending] !== 0) this.reap();
    return result;
  }

  /** The domain runs no more but keeps everything until it is destroyed. */
  crash(domid: number): void {
    const block = this.domains.block(domid);
    if (block === 0) return;
    const { alive, crashed } = DomainState;
    if (Atomics.compareExchange(this.#words, block + Block.state, alive, crashed) !== alive) return;
    this.events.raiseVirq(CONTROL_DOMAIN, Virq.domainException, 0);
  }

  /**
   * Ends a domain: its mappings go first, then its ports, then its memory. Pages others still map keep its id taken.
   *
   * @returns false when there is no such domain or its end has begun before.
   */
  destroyDomain(domid: number): boolean {
    const words = this.#words;
    const block = this.domains.block(domid);
    if (block === 0) return false;
    if (Atomics.exchange(words, block + Block.state, DomainState.dying) === DomainState.dying) return false;
    this.grants.releaseMappings(domid);
    this.events.closeAll(block);
    Atomics.store(words, block + Block.memoryReleased, 1);
    this.grants.waitForCopies(domid);
    // Counted as a page of its own, so that the end cannot be noticed before it is complete.
    Atomics.add(words, block + Block.ownedFrames, 1);
    this.domains.releaseMemory(block);
    this.domains.frameLeft(block);
    this.reap();
    if (domid !== CONTROL_DOMAIN) this.events.raiseVirq(CONTROL_DOMAIN, Virq.domainException, 0);
    return true;
  }

  /** Takes apart the dying domains whose last page has gone. */
  reap(): void {
    const words = this.#words;
    if (Atomics.exchange(words, HEADER.reapPending, 0) === 0) return;
    lock(words, HEADER.domainsLock);
    const gone: number[] = [];
    for (const domid of this.domains.ids()) {
      const block = this.domains.block(domid);
      if (this.domains.state(block) !== DomainState.dying) continue;
      if (Atomics.load(words, block + Block.ownedFrames) !== 0) continue;
      this.domains.forget(block);
      gone.push(block);
    }
    // A thread that found a domain before it was forgotten may still be looking at its tables.
    if (gone.length > 0 && this.#concurrent) this.#grace.wait(this.thread);
    for (const block of gone) {
      this.grantHost.dismantle(block, (domid) => this.grants.destroyTable(domid));
      this.domains.releaseRecord(block);
    }
    unlock(words, HEADER.domainsLock);
  }
}
