/**
 * One end of a channel: a record of four words in shared memory. Records come in pages of 256; the number of valid ports
 * grows by buckets of 64 and never shrinks while the domain lives.
 */
import { Block } from '../domains/domain-block';

export const PortState = {
  free: 0,
  reserved: 1,
  unbound: 2,
  interdomain: 3,
  pirq: 4,
  virq: 5,
  ipi: 6,
} as const;
export type PortState = (typeof PortState)[keyof typeof PortState];

export const Port = {
  /** State in byte 0, notify vCPU in byte 1. */
  state: 0,
  /** Remote domain of an unbound or interdomain port, the number of a VIRQ. */
  remoteDomain: 1,
  remotePort: 2,
  /** Held to change the state, and by a sender so that its event cannot reach a reused port. */
  lock: 3,
} as const;

export const RECORD_SHIFT = 2;
export const PORTS_PER_PAGE_SHIFT = 8;
export const PORTS_PER_BUCKET = 64;

/** Word index of a port's record, -1 for an invalid port. */
export function portRecord(words: Int32Array, block: number, port: number): number {
  if (port >>> 0 >= (words[block + Block.validPorts] as number) || port < 0) return -1;
  const page = words[block + Block.portPages + (port >>> PORTS_PER_PAGE_SHIFT)] as number;
  return page + ((port & 0xff) << RECORD_SHIFT);
}

export const portState = (words: Int32Array, record: number): PortState =>
  ((words[record + Port.state] as number) & 0xff) as PortState;

export const notifyVcpu = (words: Int32Array, record: number): number =>
  ((words[record + Port.state] as number) >>> 8) & 0xff;

export function setPortState(words: Int32Array, record: number, state: PortState, vcpu: number): void {
  Atomics.store(words, record + Port.state, state | (vcpu << 8));
}
