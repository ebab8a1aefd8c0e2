import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { GrantTableOptions, GrantTableRecord } from '@netchannel2/grant-table';
import type { DomainAccounting } from '@netchannel2/xen';
import { asyncScheduler, type Observable, type SchedulerLike, Subject } from 'rxjs';
import { findLeaks, type Leak } from './accounting/leaks';
import { readAccounting } from './accounting/read-accounting';
import { Block } from './domains/domain-block';
import { bindGrantOperations, bootGuestGrants } from './grants/bind-grant-table';
import { SimulatedDomain } from './guest/simulated-domain';
import type { SimulatedEventChannels } from './guest/simulated-event-channels';
import { Hypervisor } from './hypervisor';
import { freeFrameCount } from './machine/frame-table';
import { MachineMemory } from './machine/machine-memory';
import {
  type DomainOptions,
  type GrantTableCommandLine,
  limitsOf,
  type MachineOptions,
} from './machine-options';
import { MachineThread } from './run/thread';
import { DaemonRing } from './store/daemon-ring';
import { type GuestStore, openGuestStore } from './store/guest-store';
import { InProcessStore } from './store/in-process-store';
import { MessagePortDuplex } from './store/message-port-duplex';
import { buildStorePage, STORE_DOMAIN, storeStart } from './store/store-page';
import type { StoreService } from './store/store-service';
import type { DomainHandle } from './workers/domain-handle';

/** A domain that stopped without being asked to. */
export interface DomainCrash {
  readonly domid: number;
  readonly reason: string;
}

const DEFAULT_MEMORY = 256 * 1024 * 1024;
const FIRST_RESERVED_ID = 0x7ff0;

/** A simulated Xen host: one machine memory, a hypervisor, and the domains of this thread. */
export class Machine {
  readonly hypervisor: Hypervisor;
  readonly crashes$: Observable<DomainCrash>;
  readonly scheduler: SchedulerLike;
  readonly #crashes = new Subject<DomainCrash>();
  readonly #thread: MachineThread;
  /** The xenstore daemon. */
  readonly store: StoreService;
  readonly #grantTables: GrantTableCommandLine;
  readonly #grantOptions: GrantTableOptions;
  readonly #guestStore: 'ring' | 'in-process';
  /** The daemon's ends of the guests' pages. */
  readonly #rings = new Map<number, DaemonRing>();
  /** Control ports of the domains on other threads. */
  readonly #workers = new Map<number, MessagePort>();
  readonly #workersGone: (() => void)[] = [];
  #lastId = -1;

  private constructor(memory: MachineMemory, options: MachineOptions) {
    this.scheduler = options.scheduler ?? asyncScheduler;
    const now = options.now ?? (() => performance.now());
    this.#thread = new MachineThread(memory, options.scheduler, now);
    this.#grantTables = options.grantTables ?? {};
    this.#grantOptions = {
      transitive: options.transitiveGrants ?? true,
      transfer: this.#grantTables.transfer ?? true,
      zeroLengthCopy: this.#grantTables.zeroLengthCopy ?? 'succeed',
      pinnedCopyCheck: this.#grantTables.pinnedCopyCheck ?? true,
      foreignFrameCheck: this.#grantTables.foreignFrameCheck ?? 'claimed',
      architecture: this.#grantTables.architecture ?? 'x86',
    };
    this.crashes$ = this.#crashes.asObservable();
    this.hypervisor = new Hypervisor(memory, {
      kicker: this.#thread,
      crashed: (domid, reason) => this.#crashed(domid, reason),
      scheduler: options.scheduler,
      grantOperations: (host) => bindGrantOperations(host, this.#grantOptions),
    });
    this.#thread.know(this.hypervisor.domains);
    this.#guestStore = options.guestStore ?? (options.scheduler === undefined ? 'ring' : 'in-process');
    this.store =
      options.store ??
      new InProcessStore({
        domainExists: (domid) => this.hypervisor.domains.block(domid) !== 0,
        connectRing: (domid, guestFrame, port) => this.#connectRing(domid, guestFrame, port),
        now,
      });
  }

  /** Switches a machine on: Xen runs, no domain does yet. */
  static boot(options: MachineOptions = {}): Machine {
    return new Machine(MachineMemory.create(options.memoryBytes ?? DEFAULT_MEMORY), options);
  }

  /**
   * Creates a domain that runs on this thread. The first is domain 0, privileged.
   *
   * @throws RangeError when the machine has no memory left for it, or a limit makes no sense.
   */
  createDomain(options: DomainOptions = {}): SimulatedDomain {
    const { id, name, block, privileged } = this.#build(options);
    const domain = new SimulatedDomain(name, block, options.grantTableVersion ?? 2, {
      hypervisor: this.hypervisor,
      loop: this.#thread.loop,
      clock: this.#thread.clock,
      scheduler: this.scheduler,
      createGrants: (guest) => bootGuestGrants(this.hypervisor, guest),
      openStore: (events) => this.#openStore(id, privileged, block, events),
    });
    this.#thread.add(domain);
    return domain;
  }

  /**
   * Creates a domain for another thread, which gets the handle and calls `joinMachine`. From now on this thread hears
   * other threads' events; the process stays alive until the domain is destroyed.
   *
   * End it by `destroyDomain`, or let the thread `leave()`. A thread that is terminated is like a processor that stops: where
   * that hits it inside a hypercall, a lock of Xen's stays taken, and whoever needs it waits for ever.
   */
  createWorkerDomain(options: DomainOptions = {}): DomainHandle {
    const { id, name, block, privileged } = this.#build(options);
    const control = new MessageChannel();
    this.hypervisor.goConcurrent();
    this.#thread.listen(this.hypervisor.domains, this.hypervisor.thread);
    let store: MessagePort | undefined;
    if (storeStart(this.hypervisor, block) === undefined) {
      const channel = new MessageChannel();
      this.store.attach(id, privileged, new MessagePortDuplex(channel.port1));
      store = channel.port2;
    }
    this.#workers.set(id, control.port1);
    // Held open by the domain's thread for as long as it runs the domain, whatever ends it.
    control.port1.on('close', () => this.#threadLeft(id, control.port1));
    return {
      memory: this.hypervisor.memory.memory,
      domid: id,
      name,
      grantTableVersion: options.grantTableVersion ?? 2,
      grantOptions: this.#grantOptions,
      store,
      control: control.port2,
    };
  }

  #build(options: DomainOptions): { id: number; name: string; block: number; privileged: boolean } {
    const id = this.#nextId();
    const name = options.name ?? `Domain-${id}`;
    const privileged = options.privileged ?? id === 0;
    const limits = limitsOf(options, this.#grantTables, id === 0, privileged);
    const block = this.hypervisor.createDomain(id, limits);
    if (block < 0) {
      throw new RangeError(
        `the machine has no memory left for domain ${id} (${limits.memoryPages} pages and its tables); ` +
          'boot it with more memoryBytes or give domains fewer memoryPages',
      );
    }
    this.#lastId = id;
    this.hypervisor.domains.words[block + Block.doorbell] = this.hypervisor.thread;
    this.store.introduce(id, name);
    if (this.#guestStore === 'ring' && !privileged && this.#thread.domain(STORE_DOMAIN) !== undefined) {
      const { guestFrame, port } = buildStorePage(this.hypervisor, id);
      const ring = this.#connectRing(id, guestFrame, port);
      if (ring !== undefined) this.store.attachRing(id, ring);
    }
    return { id, name, block, privileged };
  }

  /** A guest's connection to xenstore, by what its builder left for it. */
  #openStore(id: number, privileged: boolean, block: number, events: SimulatedEventChannels): GuestStore {
    const start = storeStart(this.hypervisor, block);
    if (start !== undefined) return openGuestStore(this.hypervisor.memory, events, start);
    return { store: this.store.connect(id, privileged), stop: () => {} };
  }

  #connectRing(id: number, guestFrame: number, port: number): DaemonRing | undefined {
    const daemon = this.#thread.domain(STORE_DOMAIN);
    if (daemon === undefined) return undefined;
    this.#rings.get(id)?.close();
    const ring = DaemonRing.connect(this.hypervisor, daemon, { domid: id, guestFrame, port });
    if (ring !== undefined) this.#rings.set(id, ring);
    return ring;
  }

  /** The domain of that id on this thread, if it lives. */
  domain(id: number): SimulatedDomain | undefined {
    return this.#thread.domain(id);
  }

  /**
   * Destroys a domain as `xl destroy` does: its drivers are not asked. Peers find its ports unbound and its nodes
   * without an owner; pages they map live on until unmapped. A domain on another thread is stopped there first, so it
   * is gone only a little later.
   *
   * @returns false when there is no such domain.
   */
  destroyDomain(id: number): boolean {
    const worker = this.#workers.get(id);
    if (worker !== undefined) {
      worker.postMessage('stop');
      return true;
    }
    const domain = this.#thread.domain(id);
    domain?.halt();
    // The daemon lets go of the page before Xen takes it.
    this.#rings.get(id)?.close();
    this.#rings.delete(id);
    if (!this.hypervisor.destroyDomain(id)) return false;
    domain?.end();
    this.#thread.remove(id);
    this.store.release(id);
    return true;
  }

  /** Stops a domain as Xen does with one that broke the rules. It holds everything until it is destroyed. */
  crashDomain(id: number, reason: string): void {
    this.hypervisor.crash(id);
    this.#crashed(id, reason);
  }

  /** A domain's counters; `undefined` once it is gone. */
  accounting(id: number): DomainAccounting | undefined {
    const { domains } = this.hypervisor;
    const block = domains.block(id);
    if (block === 0) return undefined;
    return readAccounting(domains, block, this.hypervisor.grants.counters(id));
  }

  /**
   * A domain's grant table at this moment, entry by entry, as Xen's debug key `g` prints it; `undefined` when there is no
   * such domain.
   */
  grantEntries(id: number): GrantTableRecord | undefined {
    return this.hypervisor.grants.list(id);
  }

  /** Frames of the machine that nobody owns. */
  get freeFrames(): number {
    return freeFrameCount(this.hypervisor.memory);
  }

  /** What domains still hold of each other. */
  leaks(): Leak[] {
    this.hypervisor.reap();
    return findLeaks(this.hypervisor.domains, (id) => this.accounting(id));
  }

  /** Resolves when no domain of this thread has work queued. */
  idle(): Promise<void> {
    return this.#thread.loop.idle();
  }

  /** Resolves when no domain runs on another thread any more. */
  workersGone(): Promise<void> {
    if (this.#workers.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#workersGone.push(resolve));
  }

  /**
   * Destroys all domains, the youngest first, and stops the machine. Domains on other threads are told to stop; await
   * {@link workersGone} before the memory is looked at again.
   */
  shutdown(): void {
    for (const id of this.hypervisor.domains.ids().reverse()) this.destroyDomain(id);
    this.store.close();
    this.#thread.loop.stop();
    this.#crashes.complete();
  }

  /** The thread of a domain let go of it, or is gone itself: nothing of the domain runs any more. */
  #threadLeft(id: number, control: MessagePort): void {
    if (this.#workers.get(id) !== control) return;
    this.#workers.delete(id);
    this.destroyDomain(id);
    if (this.#workers.size > 0) return;
    this.#thread.stopListening();
    for (const wake of this.#workersGone.splice(0)) wake();
  }

  #crashed(domid: number, reason: string): void {
    this.#thread.domain(domid)?.halt();
    this.#crashes.next({ domid, reason });
  }

  #nextId(): number {
    const { domains } = this.hypervisor;
    this.hypervisor.reap();
    for (let step = 1; step <= FIRST_RESERVED_ID; step++) {
      const id = (this.#lastId + step) % FIRST_RESERVED_ID;
      if ((id !== 0 || this.#lastId < 0) && domains.block(id) === 0) return id;
    }
    throw new RangeError('every domain id is taken');
  }
}
