/**
 * One thread of the machine: its run queue, its clock, the domains that run on it.
 */
import type { SchedulerLike } from 'rxjs';
import { Block, DomainState } from '../domains/domain-block';
import type { DomainTable } from '../domains/domain-table';
import type { VcpuKicker } from '../event-channels/delivery';
import type { SimulatedDomain } from '../guest/simulated-domain';
import type { MachineMemory } from '../machine/machine-memory';
import { CpuClock } from './cpu-clock';
import { Doorbell, ring } from './doorbell';
import { RunLoop } from './run-loop';

export class MachineThread implements VcpuKicker {
  readonly loop: RunLoop;
  readonly clock: CpuClock;
  readonly #words: Int32Array;
  readonly #local: (SimulatedDomain | undefined)[] = [];
  #domains: DomainTable | undefined;
  #doorbell: Doorbell | undefined;

  /** @param scheduler as in the run loop; @param now a clock in milliseconds. */
  constructor(memory: MachineMemory, scheduler: SchedulerLike | undefined, now: () => number) {
    this.#words = memory.words;
    this.clock = new CpuClock(memory.doubles, now);
    this.loop = new RunLoop(
      scheduler,
      () => this.#attend(),
      () => this.clock.park(),
    );
  }

  domain(domid: number): SimulatedDomain | undefined {
    return this.#local[domid];
  }

  add(domain: SimulatedDomain): void {
    this.#local[domain.id] = domain;
  }

  remove(domid: number): void {
    this.#local[domid] = undefined;
  }

  /** An upcall of the domain became due: it runs here, or its own thread is told. */
  kick(domid: number): void {
    const domain = this.#local[domid];
    if (domain !== undefined) {
      this.loop.enqueue(domain);
      return;
    }
    const block = this.#domains?.block(domid) ?? 0;
    const doorbell = block === 0 ? 0 : (this.#words[block + Block.doorbell] as number);
    if (doorbell !== 0) ring(this.#words, doorbell);
  }

  /** From now on other threads ring here; `record` is this thread's. */
  listen(domains: DomainTable, record: number): void {
    if (this.#doorbell !== undefined) return;
    this.#domains = domains;
    this.#doorbell = new Doorbell(this.#words, record, () => this.#look());
    if (this.loop.isIdle) this.#doorbell.sleep();
  }

  stopListening(): void {
    this.#doorbell?.stop();
    this.#doorbell = undefined;
  }

  /** Lets `kick` find domains of other threads. */
  know(domains: DomainTable): void {
    this.#domains = domains;
  }

  /** The run queue asks now and then, and when it is empty. */
  #attend(): void {
    if (this.#doorbell === undefined) return;
    if (this.loop.isIdle) this.#doorbell.sleep();
    else this.#look();
  }

  /** Finds the domains other threads sent events to. */
  #look(): boolean {
    const domains = this.#domains;
    let found = false;
    for (const domain of this.#local) {
      if (domain === undefined || domain.ended) continue;
      const block = domains?.block(domain.id) ?? 0;
      if (block === 0 || domains?.state(block) !== DomainState.alive) {
        domain.halt();
      } else if (domain.isDue) {
        found = true;
        this.loop.enqueue(domain);
      }
    }
    return found;
  }
}
