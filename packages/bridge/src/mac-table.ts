/** Which port an address was last seen on. */

/** Answer of a look-up that found nothing. */
export const NO_PORT = -1;

const EMPTY = -1;
/** Slots looked at for an aged entry when there is no room for a new one. */
const SWEEP_STEPS = 16;

export interface MacTableOptions {
  /** Addresses the table holds at most, 1 … 1048576. */
  readonly capacity: number;
  /** Addresses one port may hold at most. */
  readonly addressesPerPort: number;
  /** Milliseconds after which an address that was not seen again counts as unknown. */
  readonly ageing: number;
  /** Makes the places of addresses differ from table to table, so that nobody can aim for collisions. */
  readonly seed: number;
}

/**
 * A bounded table of MAC addresses with open addressing over typed arrays: looking up and learning allocate nothing, and
 * an address is two numbers (its first 16 bits, its last 32). Entries age when they are met, without timers.
 *
 * When the table or the port's share of it is full, new addresses are not learned and known ones stay: a port that makes
 * up addresses fills its own share and displaces nobody. What frees places is age.
 */
export class MacTable {
  private readonly highs: Uint16Array;
  private readonly lows: Uint32Array;
  private readonly ports: Int32Array;
  private readonly seen: Float64Array;
  private readonly mask: number;
  private readonly shift: number;
  private readonly perPort: number[] = [];
  /** Changes whenever an address appears, disappears or moves to another port. */
  version = 0;
  private hand = 0;
  private count = 0;

  constructor(private readonly options: MacTableOptions) {
    // At most half of the slots are ever taken, which keeps probes short.
    const bits = Math.max(2, Math.ceil(Math.log2(options.capacity * 2)));
    const slots = 2 ** bits;
    this.highs = new Uint16Array(slots);
    this.lows = new Uint32Array(slots);
    this.ports = new Int32Array(slots).fill(EMPTY);
    this.seen = new Float64Array(slots);
    this.mask = slots - 1;
    this.shift = 32 - bits;
  }

  get size(): number {
    return this.count;
  }

  /**
   * Notes that an address was seen on a port.
   *
   * @param port a small number from 0.
   * @param now milliseconds on a clock that does not run backwards.
   * @returns false when there was no room for a new address.
   */
  learn(high: number, low: number, port: number, now: number): boolean {
    let slot = this.find(high, low);
    if (this.ports[slot] === EMPTY) {
      if (!this.makeRoom(port, now)) return false;
      // Making room may have moved entries.
      slot = this.find(high, low);
      this.highs[slot] = high;
      this.lows[slot] = low;
      this.count += 1;
      this.take(slot, port);
    } else if (this.ports[slot] !== port) {
      if (this.held(port) >= this.options.addressesPerPort && !this.sweep(now, port)) return false;
      slot = this.find(high, low);
      if (this.ports[slot] === EMPTY) return this.learn(high, low, port, now);
      this.letGo(slot);
      this.take(slot, port);
    }
    this.seen[slot] = now;
    return true;
  }

  /** The port of an address, {@link NO_PORT} when it is unknown or too old. */
  lookup(high: number, low: number, now: number): number {
    const slot = this.find(high, low);
    const port = this.ports[slot] as number;
    if (port === EMPTY) return NO_PORT;
    if (now - (this.seen[slot] as number) <= this.options.ageing) return port;
    this.remove(slot);
    return NO_PORT;
  }

  /** Forgets the addresses of one port, or all. */
  forget(port?: number): void {
    for (let slot = 0; slot <= this.mask; slot += 1) {
      // Removing pulls later entries into this slot, so it is looked at again.
      while (this.ports[slot] !== EMPTY && (port === undefined || this.ports[slot] === port))
        this.remove(slot);
    }
    // An entry that wrapped round the end may have been pulled behind the scan.
    if (port !== undefined && this.held(port) > 0) this.forget(port);
  }

  /** Calls `visit` for each address that is not too old. */
  forEach(now: number, visit: (high: number, low: number, port: number, age: number) => void): void {
    for (let slot = 0; slot <= this.mask; slot += 1) {
      const port = this.ports[slot] as number;
      const age = now - (this.seen[slot] as number);
      if (port !== EMPTY && age <= this.options.ageing)
        visit(this.highs[slot] as number, this.lows[slot] as number, port, age);
    }
  }

  /** The slot of an address, or the empty one where it belongs. */
  private find(high: number, low: number): number {
    let slot = this.home(high, low);
    while (
      this.ports[slot] !== EMPTY &&
      (this.lows[slot] !== low >>> 0 || this.highs[slot] !== (high & 0xffff))
    ) {
      slot = (slot + 1) & this.mask;
    }
    return slot;
  }

  private home(high: number, low: number): number {
    let hash =
      Math.imul(low ^ this.options.seed, 0x9e3779b1) ^ Math.imul(high + this.options.seed, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 15), 0xc2b2ae35);
    return hash >>> this.shift;
  }

  private makeRoom(port: number, now: number): boolean {
    if (this.held(port) >= this.options.addressesPerPort) return this.sweep(now, port);
    return this.count < this.options.capacity || this.sweep(now, undefined);
  }

  /** Removes one aged entry, of `port` if given, among the next few slots. A few looks a frame find them all in time. */
  private sweep(now: number, port: number | undefined): boolean {
    for (let step = 0; step < SWEEP_STEPS; step += 1) {
      const slot = this.hand;
      this.hand = (this.hand + 1) & this.mask;
      const owner = this.ports[slot];
      if (owner === EMPTY || (port !== undefined && owner !== port)) continue;
      if (now - (this.seen[slot] as number) <= this.options.ageing) continue;
      this.remove(slot);
      return true;
    }
    return false;
  }

  /** Empties a slot and closes the gap in the probe sequences that run over it. */
  private remove(slot: number): void {
    this.letGo(slot);
    this.count -= 1;
    let gap = slot;
    let next = (slot + 1) & this.mask;
    while (this.ports[next] !== EMPTY) {
      const home = this.home(this.highs[next] as number, this.lows[next] as number);
      // The entry may move into the gap when its home does not lie behind the gap.
      if (((next - home) & this.mask) >= ((next - gap) & this.mask)) {
        this.highs[gap] = this.highs[next] as number;
        this.lows[gap] = this.lows[next] as number;
        this.ports[gap] = this.ports[next] as number;
        this.seen[gap] = this.seen[next] as number;
        gap = next;
      }
      next = (next + 1) & this.mask;
    }
    this.ports[gap] = EMPTY;
  }

  private held(port: number): number {
    return this.perPort[port] ?? 0;
  }

  private take(slot: number, port: number): void {
    this.ports[slot] = port;
    this.perPort[port] = this.held(port) + 1;
    this.version += 1;
  }

  private letGo(slot: number): void {
    const port = this.ports[slot] as number;
    this.perPort[port] = this.held(port) - 1;
    this.version += 1;
  }
}
