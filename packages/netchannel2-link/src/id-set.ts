/**
 * A small set of 32-bit ids that is emptied all at once in O(1): entries belong to the current round or do not count.
 */
export class IdSet {
  private readonly ids: Int32Array;
  private readonly rounds: Int32Array;
  private readonly mask: number;
  private round = 1;

  /** @param slots a power of two, at least twice the ids added in one round. */
  constructor(slots: number) {
    this.ids = new Int32Array(slots);
    this.rounds = new Int32Array(slots);
    this.mask = slots - 1;
  }

  /** @returns `false` when `id` is in the set already. */
  add(id: number): boolean {
    let slot = id & this.mask;
    while (this.rounds[slot] === this.round) {
      if (this.ids[slot] === id) return false;
      slot = (slot + 1) & this.mask;
    }
    this.rounds[slot] = this.round;
    this.ids[slot] = id;
    return true;
  }

  has(id: number): boolean {
    let slot = id & this.mask;
    while (this.rounds[slot] === this.round) {
      if (this.ids[slot] === id) return true;
      slot = (slot + 1) & this.mask;
    }
    return false;
  }

  clear(): void {
    this.round = (this.round + 1) | 0;
    // After 2^32 rounds old stamps would count again.
    if (this.round === 0) {
      this.rounds.fill(0);
      this.round = 1;
    }
  }
}
