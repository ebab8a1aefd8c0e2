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

/** Bits of a mark that are an {@link IdState}; those above are the sweep since when. */
const STATE_BITS = 2;
const STATE_MASK = (1 << STATE_BITS) - 1;

/**
 * The ids of unfinished packets, each one credit. Free ones are reused last first: the working set of ids, and of what is
 * kept per id, stays small.
 */
export class PacketIds {
  /**
   * For each id a mark: its state, and the sweep in which its packet was sent, or given up. Behind them the free ids, a stack.
   * One array, because each that is looked into costs a packet something.
   */
  readonly words: Int32Array;
  private depth: number;
  private sweep = 0;
  /** The mark of a packet that is sent now. */
  openMark: number = IdState.open;
  private closed = 0;
  private expired = 0;

  /** @param capacity ids 0 … capacity − 1. */
  constructor(readonly capacity: number) {
    this.words = new Int32Array(2 * capacity);
    for (let index = 0; index < capacity; index += 1) this.words[capacity + index] = capacity - 1 - index;
    this.depth = capacity;
  }

  get free(): number {
    return this.depth;
  }

  /**
   * Free ids lie in {@link words} below this place, the next to be taken last. Who takes many reads them there, gives each the
   * {@link openMark}, and says so by {@link taken}.
   */
  get top(): number {
    return this.capacity + this.depth;
  }

  /** The `count` ids below {@link top} were taken. */
  taken(count: number): void {
    this.depth -= count;
  }

  /** Packets sent and neither finished nor given up. */
  get open(): number {
    return this.capacity - this.depth - this.closed - this.expired;
  }

  /** Takes a free id for a packet, or answers -1. */
  take(): number {
    return this.depth === 0 ? -1 : this.takeFree();
  }

  /** As {@link take}, while some are {@link free}. */
  takeFree(): number {
    const { words } = this;
    const depth = this.depth - 1;
    const id = words[this.capacity + depth] as number;
    this.depth = depth;
    words[id] = this.openMark;
    return id;
  }

  /** @param id any 32 bits. */
  state(id: number): number {
    return id >>> 0 < this.capacity ? (this.words[id] as number) & STATE_MASK : IdState.free;
  }

  /** The packet of an open id is over; the id is free only after {@link put}. */
  close(id: number): void {
    this.closed += 1;
    this.words[id] = IdState.free;
  }

  /** The packet is over; an id that is not free. */
  put(id: number): void {
    const state = (this.words[id] as number) & STATE_MASK;
    if (state === IdState.free) this.closed -= 1;
    else if (state === IdState.expired) this.expired -= 1;
    this.putOpen(id);
  }

  /** The packet of an open id is over. */
  putOpen(id: number): void {
    const { depth } = this;
    this.words[id] = IdState.free;
    this.words[this.capacity + depth] = id;
    this.depth = depth + 1;
  }

  /** Begins a sweep: call {@link overdue} for the ids that matter, then {@link expire} those given up. */
  age(): void {
    this.sweep = (this.sweep + 1) | 0;
    this.openMark = this.markOf(IdState.open);
    if (this.expired === 0) return;
    for (let id = 0; id < this.capacity; id += 1)
      if (this.state(id) === IdState.expired && this.ageOf(id) > BLOCKED_SWEEPS) this.put(id);
  }

  /** Whether packet `id` is unfinished and was sent at least `milliseconds` ago; at most one sweep more than that. */
  overdue(id: number, milliseconds: number): boolean {
    return this.state(id) === IdState.open && this.ageOf(id) > (milliseconds * SWEEPS_PER_SECOND) / 1000;
  }

  /** Gives an open packet up: its id waits for a late FINISH. */
  expire(id: number): void {
    this.words[id] = this.markOf(IdState.expired);
    this.expired += 1;
  }

  private markOf(state: IdState): number {
    return (this.sweep << STATE_BITS) | state;
  }

  /** In sweeps. */
  private ageOf(id: number): number {
    return ((this.sweep << STATE_BITS) - ((this.words[id] as number) & ~STATE_MASK)) >> STATE_BITS;
  }
}
