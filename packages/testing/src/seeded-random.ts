/**
 * Numbers that look random and are the same for the same seed, on every machine (the generator mulberry32).
 *
 * @packageDocumentation
 */

/** A source of seeded numbers. */
export class SeededRandom {
  private state: number;

  /** @param seed any integer; only its low 32 bits count. */
  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  /** The next 32 bits, unsigned. */
  uint32(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = this.state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  /** An integer `low … high`, both included. */
  integer(low: number, high: number): number {
    return low + (this.uint32() % (high - low + 1));
  }

  /** One of the items. */
  pick<Item>(items: readonly Item[]): Item {
    const item = items[this.integer(0, items.length - 1)];
    if (item === undefined) throw new RangeError('pick needs at least one item, and none of them undefined');
    return item;
  }

  /** Fills a range of bytes. */
  fill(target: Uint8Array, start = 0, end = target.byteLength): void {
    for (let offset = start; offset < end; offset += 4) {
      const word = this.uint32();
      target[offset] = word;
      if (offset + 1 < end) target[offset + 1] = word >>> 8;
      if (offset + 2 < end) target[offset + 2] = word >>> 16;
      if (offset + 3 < end) target[offset + 3] = word >>> 24;
    }
  }
}
