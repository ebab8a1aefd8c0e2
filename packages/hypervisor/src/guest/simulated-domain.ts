import type {
  DeferredWork,
  Domain,
  DomainCapabilities,
  DomainId,
  GrantTable,
  XenStore,
} from '@netchannel2/xen';
import { domainId } from '@netchannel2/xen';
import type { SchedulerLike } from 'rxjs';
import { counterBase, SCRATCH_COUNTERS } from '../accounting/counters';
import { Block } from '../domains/domain-block';
import { ESRCH } from '../domains/errors';
import type { Hypervisor } from '../hypervisor';
import type { CpuClock } from '../run/cpu-clock';
import { DeferredQueue } from '../run/deferred-queue';
import { DomainScheduler } from '../run/domain-scheduler';
import type { RunLoop, Runnable } from '../run/run-loop';
import type { GuestStore } from '../store/guest-store';
import type { GrantHypercall } from './hypercall';
import { SimulatedEventChannels } from './simulated-event-channels';
import { SimulatedForeignMemory } from './simulated-foreign-memory';
import { SimulatedMemory } from './simulated-memory';

/** Passes of a turn before others get theirs. */
const PASSES_PER_TURN = 4;

/** A guest kernel's grant table and how it ends. */
export interface GuestGrants {
  readonly table: GrantTable;
  /** The domain has ended: nothing may be written into its table any more. */
  stop(): void;
}

/** What a domain is built on, on the thread it runs on. */
export interface DomainSurroundings {
  readonly hypervisor: Hypervisor;
  readonly loop: RunLoop;
  readonly clock: CpuClock;
  readonly scheduler: SchedulerLike;
  readonly createGrants: (guest: GuestBoot) => GuestGrants;
  readonly openStore: (events: SimulatedEventChannels) => GuestStore;
}

/** What the guest's grant table is set up from. */
export interface GuestBoot {
  readonly id: DomainId;
  readonly block: number;
  readonly memory: SimulatedMemory;
  readonly hypercall: GrantHypercall;
  readonly version: 1 | 2;
  readonly scheduler: SchedulerLike;
}

/** A domain of the simulated Xen: the kernel of a guest, and what its drivers see. */
export class SimulatedDomain implements Domain, Runnable {
  readonly id: DomainId;
  readonly memory: SimulatedMemory;
  readonly grants: GrantTable;
  readonly foreign: SimulatedForeignMemory;
  readonly events: SimulatedEventChannels;
  readonly store: XenStore;
  readonly scheduler: DomainScheduler;
  readonly capabilities: DomainCapabilities;
  /** Owned by the run loop. */
  queued = false;
  readonly #guestGrants: GuestGrants;
  readonly #guestStore: GuestStore;
  readonly #hypervisor: Hypervisor;
  readonly #loop: RunLoop;
  readonly #clock: CpuClock;
  readonly #deferred = new DeferredQueue();
  #counters: number;
  #running = false;
  #ended = false;

  constructor(
    readonly name: string,
    block: number,
    version: 1 | 2,
    surroundings: DomainSurroundings,
  ) {
    const { hypervisor } = surroundings;
    const { domains } = hypervisor;
    const id = domainId(domains.words[block + Block.domid] as number);
    this.id = id;
    this.#hypervisor = hypervisor;
    this.#loop = surroundings.loop;
    this.#clock = surroundings.clock;
    this.#counters = counterBase(block);
    this.scheduler = new DomainScheduler(surroundings.scheduler);
    const hypercall: GrantHypercall = (command, address, count) =>
      this.#ended ? ESRCH : hypervisor.grantTableOp(id, command, address, count);
    this.memory = new SimulatedMemory(domains, block);
    this.#guestGrants = surroundings.createGrants({
      id,
      block,
      memory: this.memory,
      hypercall,
      version,
      scheduler: this.scheduler,
    });
    this.grants = this.#guestGrants.table;
    this.foreign = new SimulatedForeignMemory(domains, id, block, this.memory, hypercall);
    this.events = new SimulatedEventChannels(
      domains,
      id,
      block,
      hypervisor.events,
      hypervisor.delivery,
      () => {
        if (!this.#running) this.#loop.enqueue(this);
      },
    );
    this.#guestStore = surroundings.openStore(this.events);
    this.store = this.#guestStore.store;
    const version2 = this.grants.version === 2;
    this.capabilities = { subPageGrants: version2, transitiveGrants: version2, revokeResult: true };
  }

  /** Destroyed, or crashed: no code of the domain runs any more. */
  get ended(): boolean {
    return this.#ended;
  }

  defer(work: DeferredWork): void {
    if (this.#ended) return;
    if (this.#deferred.add(work) && !this.#running) this.#loop.enqueue(this);
  }

  /**
   * Runs code in the domain's context: its CPU time is the domain's, and work it defers runs before this returns.
   */
  run<Result>(code: () => Result): Result {
    if (this.#ended) throw new Error(`domain ${this.id} (${this.name}) has ended; create another one`);
    if (this.#running) return code();
    const previous = this.#clock.enter(this.#counters);
    this.#running = true;
    try {
      const result = code();
      if (!this.#deferred.isEmpty) this.#deferred.runOnce();
      return result;
    } finally {
      this.#running = false;
      this.#clock.leave(previous);
      if (this.#hasWork) this.#loop.enqueue(this);
    }
  }

  /** One turn of the vCPU: upcalls, then deferred work, a few times over. */
  runTurn(): boolean {
    if (this.#ended || this.#running) return false;
    // Charged until the next domain's turn, or until the run loop has nothing left: one look at the clock a turn.
    this.#clock.enter(this.#counters);
    this.#running = true;
    try {
      for (let pass = 0; pass < PASSES_PER_TURN && this.#hasWork; pass++) {
        if (this.events.isDue) {
          this.#hypervisor.pollers.wakeAll(this.id);
          this.events.upcall();
        }
        if (!this.#deferred.isEmpty) this.#deferred.runOnce();
      }
    } finally {
      this.#running = false;
    }
    return this.#hasWork;
  }

  /** Events of the domain are due, as after a kick from another thread. */
  get isDue(): boolean {
    return !this.#ended && this.events.isDue;
  }

  /** No code of the domain runs any more; what it holds stays as it is (a crash). */
  halt(): void {
    this.#ended = true;
    this.#deferred.clear();
    this.scheduler.end();
    this.events.stop();
    this.#clock.retire(this.#counters);
    // Who sleeps in a poll notes in the domain's record that it woke.
    this.#hypervisor.pollers.wakeAll(this.id);
  }

  /** After Xen took everything: whoever still holds objects of the domain reaches nothing through them. */
  end(): void {
    this.halt();
    this.#guestStore.stop();
    this.#guestGrants.stop();
    this.foreign.detachAll();
    this.memory.stop();
    this.#counters = SCRATCH_COUNTERS;
  }

  get #hasWork(): boolean {
    return !this.#ended && (!this.#deferred.isEmpty || this.events.isDue);
  }
}
