/**
 * `SCHEDOP_poll` (spec event-channels.md §3.2) for vCPUs of this thread: a vCPU that sleeps is a promise. Woken by an
 * edge on the one port it polls, on any port if it polls several, and by an upcall.
 */
import { asyncScheduler, type SchedulerLike, type Subscription } from 'rxjs';
import { Block } from '../domains/domain-block';
import type { DomainTable } from '../domains/domain-table';
import { EINVAL } from '../domains/errors';
import type { PollWaker } from './delivery';
import { PortState, portRecord, portState } from './port-record';
import { SharedInfo, UPCALL_MASK_BYTE, UPCALL_PENDING_BYTE } from './shared-info';

const MAXIMUM_PORTS = 128;
const ANY_PORT = -1;

interface Sleeper {
  readonly domid: number;
  /** The only port polled, or any. */
  readonly port: number;
  readonly wake: () => void;
}

export class Pollers implements PollWaker {
  readonly #sleepers = new Set<Sleeper>();

  constructor(
    private readonly domains: DomainTable,
    private readonly scheduler: SchedulerLike = asyncScheduler,
  ) {}

  /**
   * @param timeout milliseconds; 0 waits for ever.
   * @returns 0 at once or when woken, whatever the reason; a negative errno at once.
   */
  poll(caller: number, ports: readonly number[], timeout = 0): number | Promise<number> {
    const { words } = this.domains;
    const block = this.domains.block(caller);
    if (ports.length > MAXIMUM_PORTS) return EINVAL;
    const info = (words[block + Block.sharedInfo] as number) >>> 2;
    const upcall = Atomics.load(words, info + SharedInfo.upcall);
    if ((upcall & UPCALL_PENDING_BYTE) !== 0 && (upcall & UPCALL_MASK_BYTE) === 0) return 0;
    for (const port of ports) {
      const record = portRecord(words, block, port);
      if (record < 0 || portState(words, record) <= PortState.reserved) return EINVAL;
      const pending = Atomics.load(words, info + SharedInfo.pending + (port >>> 5));
      if ((pending & (1 << (port & 31))) !== 0) return 0;
    }
    return this.#sleep(block, caller, ports.length === 1 ? (ports[0] as number) : ANY_PORT, timeout);
  }

  wake(domid: number, port: number): void {
    for (const sleeper of this.#sleepers) {
      if (sleeper.domid === domid && (sleeper.port === ANY_PORT || sleeper.port === port)) sleeper.wake();
    }
  }

  /** An upcall ends every sleep of the domain. */
  wakeAll(domid: number): void {
    if (this.#sleepers.size === 0) return;
    for (const sleeper of this.#sleepers) {
      if (sleeper.domid === domid) sleeper.wake();
    }
  }

  #sleep(block: number, domid: number, port: number, timeout: number): Promise<number> {
    const { words } = this.domains;
    Atomics.add(words, block + Block.pollers, 1);
    return new Promise((resolve) => {
      let timer: Subscription | undefined;
      const sleeper: Sleeper = {
        domid,
        port,
        wake: () => {
          if (!this.#sleepers.delete(sleeper)) return;
          timer?.unsubscribe();
          Atomics.sub(words, block + Block.pollers, 1);
          resolve(0);
        },
      };
      this.#sleepers.add(sleeper);
      if (timeout > 0) timer = this.scheduler.schedule(sleeper.wake, timeout);
    });
  }
}
