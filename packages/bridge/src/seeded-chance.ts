/** Decisions that are the same for the same seed. */
export class SeededChance {
  private state: number;

  constructor(seed: number) {
    this.state = seed | 0;
  }

  /** True with the given probability, 0 … 1. Takes one step even when the answer is certain. */
  happens(probability: number): boolean {
    // Mulberry32: small, and good enough for faults.
    this.state = (this.state + 0x6d2b79f5) | 0;
    let bits = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 0x1_0000_0000 < probability;
  }
}
