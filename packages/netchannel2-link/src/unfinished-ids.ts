/** Ids below this are looked up directly: a sender that numbers its packets by table index never exceeds it. */
export const DIRECT = 4096;

/**
 * The ids of a peer's unfinished packets, added and removed one by one without allocating. They are any 32 bits; the small
 * ones that senders use have a byte each, others a place in a table with open addressing.
 */
export class UnfinishedIds {
  size = 0;

  private readonly ids: Int32Array;
  private readonly taken: Uint8Array;
  private readonly mask: number;

  /**
   * @param most ids in the set at once.
   * @param direct a byte for each small id, all 0.
   */
  constructor(
    most: number,
    private readonly direct: Uint8Array = new Uint8Array(DIRECT),
  ) {
    const slots = 2 ** Math.ceil(Math.log2(Math.max(1, most) * 2));
    this.ids = new Int32Array(slots);
    this.taken = new Uint8Array(slots);
    this.mask = slots - 1;
  }

  has(id: number): boolean {
    return id >>> 0 < DIRECT ? this.direct[id] === 1 : this.taken[this.find(id)] === 1;
  }

  /** Adds an id that is not in the set. */
  add(id: number): void {
    this.size += 1;
    if (id >>> 0 < DIRECT) {
      this.direct[id] = 1;
      return;
    }
    const slot = this.find(id);
    this.ids[slot] = id;
    this.taken[slot] = 1;
  }

  /** Removes an id that is in the set. */
  remove(id: number): void {
    this.size -= 1;
    if (id >>> 0 < DIRECT) this.direct[id] = 0;
    else this.removeHashed(id);
  }

  private removeHashed(id: number): void {
    let hole = this.find(id);
    this.taken[hole] = 0;
    // Entries behind the hole that were displaced past it move up, or they would not be found any more.
    for (let slot = (hole + 1) & this.mask; this.taken[slot] === 1; slot = (slot + 1) & this.mask) {
      const moved = this.ids[slot] as number;
      const displacement = (slot - this.home(moved)) & this.mask;
      if (displacement < ((slot - hole) & this.mask)) continue;
      this.ids[hole] = moved;
      this.taken[hole] = 1;
      this.taken[slot] = 0;
      hole = slot;
    }
  }

  private home(id: number): number {
    return (Math.imul(id, 0x9e3779b1) >>> 16) & this.mask;
  }

  private find(id: number): number {
    let slot = this.home(id);
    while (this.taken[slot] === 1 && this.ids[slot] !== id) slot = (slot + 1) & this.mask;
    return slot;
  }
}
