/**
 * `event_channel_op`: byte-exact argument structures around the operations (spec event-channels.md §3).
 */
import type { DomainTable } from '../domains/domain-table';
import { EFAULT, ENOSYS, EOPNOTSUPP } from '../domains/errors';
import type { EventDelivery } from './delivery';
import type { EventChannelOperations, PortStatus } from './operations';

export const EventChannelOp = {
  bindInterdomain: 0,
  bindVirq: 1,
  bindPirq: 2,
  close: 3,
  send: 4,
  status: 5,
  allocUnbound: 6,
  bindIpi: 7,
  bindVcpu: 8,
  unmask: 9,
  reset: 10,
  initControl: 11,
  expandArray: 12,
  setPriority: 13,
} as const;

/** Bytes of each operation's argument, by operation number. */
const ARGUMENT_BYTES = [12, 12, 12, 4, 4, 24, 8, 8, 8, 4, 2, 24, 8, 8] as const;

export class EventChannelHypercall {
  readonly #words: Int32Array;
  readonly #halfwords: Uint16Array;
  readonly #answer: PortStatus = { status: 0, vcpu: 0, domain: 0, port: 0 };

  constructor(
    private readonly domains: DomainTable,
    private readonly delivery: EventDelivery,
    private readonly operations: EventChannelOperations,
  ) {
    this.#words = domains.words;
    this.#halfwords = domains.memory.halfwords;
  }

  /**
   * @param address byte address of the argument in the caller's own memory, 4-aligned.
   * @returns 0 or a negative errno number.
   */
  execute(caller: number, command: number, address: number): number {
    const byteLength = ARGUMENT_BYTES[command];
    if (byteLength === undefined) return ENOSYS;
    if ((address & 3) !== 0 || !this.domains.mayAccess(caller, address, byteLength)) return EFAULT;
    const { operations } = this;
    const words = this.#words;
    const word = address >>> 2;
    const half = address >>> 1;
    switch (command) {
      case EventChannelOp.allocUnbound:
        return this.#out(word + 1, operations.allocateUnbound(caller, this.#u16(half), this.#u16(half + 1)));
      case EventChannelOp.bindInterdomain:
        return this.#out(
          word + 2,
          operations.bindInterdomain(caller, this.#u16(half), words[word + 1] as number),
        );
      case EventChannelOp.bindVirq:
        return this.#out(
          word + 2,
          operations.bindVirq(caller, words[word] as number, words[word + 1] as number),
        );
      case EventChannelOp.bindIpi:
        return this.#out(word + 1, operations.bindIpi(caller, words[word] as number));
      case EventChannelOp.bindPirq:
        return EOPNOTSUPP;
      case EventChannelOp.close:
        return operations.close(caller, words[word] as number);
      case EventChannelOp.send:
        return this.delivery.send(this.domains.block(caller), words[word] as number);
      case EventChannelOp.status:
        return this.#status(caller, word);
      case EventChannelOp.bindVcpu:
        return operations.bindVcpu(caller, words[word] as number, words[word + 1] as number);
      case EventChannelOp.unmask:
        return operations.unmask(caller, words[word] as number);
      case EventChannelOp.reset:
        return operations.reset(caller, this.#u16(half));
      case EventChannelOp.initControl:
        return operations.initControl(caller, words[word + 3] as number, (words[word + 2] as number) >>> 0);
      case EventChannelOp.expandArray:
        return operations.expandArray();
      default:
        return operations.setPriority(caller, words[word] as number);
    }
  }

  #status(caller: number, word: number): number {
    const words = this.#words;
    const answer = this.#answer;
    const result = this.operations.status(caller, this.#u16(word << 1), words[word + 1] as number, answer);
    if (result < 0) return result;
    words[word + 2] = answer.status;
    words[word + 3] = answer.vcpu;
    words[word + 4] = answer.domain;
    words[word + 5] = answer.port;
    return 0;
  }

  /** A port goes to the OUT field; errors leave it alone. */
  #out(field: number, port: number): number {
    if (port < 0) return port;
    this.#words[field] = port;
    return 0;
  }

  #u16(index: number): number {
    return this.#halfwords[index] as number;
  }
}
