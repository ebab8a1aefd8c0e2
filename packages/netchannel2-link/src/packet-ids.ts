/** Free packet ids, last used first: the working set of ids, and of what is kept per id, stays small. */
export class PacketIds {
  private readonly stack: Int32Array;
  private depth: number;

  /** @param capacity ids 0 … capacity − 1. */
  constructor(readonly capacity: number) {
    this.stack = Int32Array.from({ length: capacity }, (_, index) => capacity - 1 - index);
    this.depth = capacity;
  }

  get free(): number {
    return this.depth;
  }

  /** A free id, or -1. */
  take(): number {
    if (this.depth === 0) return -1;
    this.depth -= 1;
    return this.stack[this.depth] as number;
  }

  put(id: number): void {
    this.stack[this.depth] = id;
    this.depth += 1;
  }
}
