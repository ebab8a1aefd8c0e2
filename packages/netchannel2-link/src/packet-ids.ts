/** Sweeps in a second: how finely the age of unfinished packets is known. */
export const SWEEPS_PER_SECOND = 4;
/** Sweeps after which the id of a packet that was given up is used again, FINISH or not (spec §4.3). */
const BLOCKED_SWEEPS = 60 * SWEEPS_PER_SECOND;

/** What an id stands for. */
export const IdState = {
  free: 0,
  /** A packet the peer has not finished. */
  open: 1,
  /** A packet given up after its time: one late FINISH is still due, and the credit stays taken until then. */
  expired: 2,
} as const;
export type IdState = (typeof IdState)[keyof typeof IdState];

/**
 * The ids of unfinished packets, each one credit. Free ones are reused last first: the working set of ids, and of what is
 * kept per id, stays small.
 */
export class PacketIds {
  /** Packets sent and neither finished nor given up. */
  open = 0;

  private readonly stack: Int32Array;
  private readonly states: Uint8Array;
  /** Sweep in which a packet was sent, or given up. */
  private readonly since: Int32Array;
  private depth: number;
  private sweep = 0;

  /** @param capacity ids 0 … capacity − 1. */
  constructor(readonly capacity: number) {
    this.stack = Int32Array.from({ length: capacity }, (_, index) => capacity - 1 - index);
    this.states = new Uint8Array(capacity);
    this.since = new Int32Array(capacity);
    this.depth = capacity;
  }

  get free(): number {
    return this.depth;
  }

  /** Takes a free id for a packet, or answers -1. */
  take(): number {
    if (this.depth === 0) return -1;
    this.depth -= 1;
    const id = this.stack[this.depth] as number;
    this.states[id] = IdState.open;
    this.since[id] = this.sweep;
    this.open += 1;
    return id;
  }

  /** @param id any 32 bits. */
  state(id: number): number {
    return id >>> 0 < this.capacity ? (this.states[id] as number) : IdState.free;
  }

  /** The packet of an open id is over; the id is free only after {@link put}. */
  close(id: number): void {
    this.open -= 1;
    this.states[id] = IdState.free;
  }

  /** The packet is over; an id that is not free. */
  put(id: number): void {
    if (this.states[id] === IdState.open) this.open -= 1;
    this.states[id] = IdState.free;
    this.stack[this.depth] = id;
    this.depth += 1;
  }

  /** Begins a sweep: call {@link overdue} for the ids that matter, then {@link expire} those given up. */
  age(): void {
    this.sweep = (this.sweep + 1) | 0;
    if (this.depth + this.open === this.capacity) return;
    for (let id = 0; id < this.capacity; id += 1) {
      const blocked = this.states[id] === IdState.expired;
      if (blocked && ((this.sweep - (this.since[id] as number)) | 0) > BLOCKED_SWEEPS) this.put(id);
    }
  }

  /** Whether packet `id` is unfinished and was sent at least `milliseconds` ago; at most one sweep more than that. */
  overdue(id: number, milliseconds: number): boolean {
    if (this.states[id] !== IdState.open) return false;
    const age = (this.sweep - (this.since[id] as number)) | 0;
    return age > (milliseconds * SWEEPS_PER_SECOND) / 1000;
  }

  /** Gives an open packet up: its id waits for a late FINISH. */
  expire(id: number): void {
    this.states[id] = IdState.expired;
    this.since[id] = this.sweep;
    this.open -= 1;
  }
}
