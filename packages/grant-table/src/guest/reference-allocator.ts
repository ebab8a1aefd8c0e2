/**
 * Which references of its own table a guest kernel has free. References below the first dynamic one are the
 * toolstack's and never given out.
 *
 * @packageDocumentation
 */
import { GNTTAB_NR_RESERVED_ENTRIES } from '../layout/entry-flags';

const NONE = -1;

interface Waiter {
  readonly count: number;
  readonly served: () => void;
}

export class ReferenceAllocator {
  /** A stack: what was freed last is taken first, while its entry is still in the cache. */
  #free = new Int32Array(512);
  #top = 0;
  /** 1 for references given out. */
  #taken = new Uint8Array(512);
  /** References 0 … known - 1 exist. */
  #known = GNTTAB_NR_RESERVED_ENTRIES;
  readonly #waiters: Waiter[] = [];

  get free(): number {
    return this.#top;
  }

  /** References that exist, reserved ones included. */
  get known(): number {
    return this.#known;
  }

  /** The table grew to `entries` references. */
  extend(entries: number): void {
    if (entries > this.#free.length) {
      const free = new Int32Array(entries);
      free.set(this.#free);
      this.#free = free;
      const taken = new Uint8Array(entries);
      taken.set(this.#taken);
      this.#taken = taken;
    }
    // Lowest first.
    const before = this.#known;
    this.#known = Math.max(before, entries);
    for (let ref = this.#known - 1; ref >= before; ref--) this.#free[this.#top++] = ref;
  }

  /** A free reference, or -1. */
  take(): number {
    if (this.#top === 0) return NONE;
    const ref = this.#free[--this.#top] as number;
    this.#taken[ref] = 1;
    return ref;
  }

  /**
   * Gives a reference back.
   *
   * @throws RangeError when it is not one that was taken.
   */
  put(ref: number): void {
    if (this.#taken[ref] !== 1) {
      throw new RangeError(`reference ${ref} is not in use: free only what allocate() returned, and once`);
    }
    this.#taken[ref] = 0;
    this.#free[this.#top++] = ref;
    if (this.#waiters.length > 0) this.#serve();
  }

  /**
   * Calls back, once, when `count` references are free; at once if they are. Waiters are served in order.
   *
   * @returns ends the wait.
   */
  whenFree(count: number, served: () => void): () => void {
    const waiter: Waiter = { count, served };
    this.#waiters.push(waiter);
    this.#serve();
    return () => {
      const index = this.#waiters.indexOf(waiter);
      if (index >= 0) this.#waiters.splice(index, 1);
    };
  }

  /** Nobody waits any more. */
  stop(): void {
    this.#waiters.length = 0;
  }

  #serve(): void {
    for (;;) {
      const [waiter] = this.#waiters;
      if (waiter === undefined || waiter.count > this.#top) return;
      this.#waiters.shift();
      waiter.served();
    }
  }
}
