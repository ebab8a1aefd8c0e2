/**
 * Whose CPU time it is. Time is charged when the context changes, once per upcall and not per event.
 */
import { Counter, SCRATCH_COUNTERS } from '../accounting/counters';

/** Nobody's time: the machine itself, timers, other code on this thread. */
const NOBODY = -1;

export class CpuClock {
  #current = NOBODY;
  #since = 0;

  /** @param now a clock in milliseconds. */
  constructor(
    private readonly doubles: Float64Array,
    private readonly now: () => number,
  ) {}

  /** Charges time to the counters at `base` from now on; answers what to pass to {@link leave}. */
  enter(base: number): number {
    const previous = this.#current;
    this.#charge();
    this.#current = base;
    return previous;
  }

  /** Ends whatever is being charged: the thread turns to other things. */
  park(): void {
    if (this.#current !== NOBODY) this.leave(NOBODY);
  }

  /** The domain whose counters are at `base` has ended: the rest of its turn is not charged there. */
  retire(base: number): void {
    if (this.#current !== base) return;
    this.#charge();
    this.#current = SCRATCH_COUNTERS;
  }

  leave(previous: number): void {
    this.#charge();
    this.#current = previous;
  }

  #charge(): void {
    const now = this.now();
    if (this.#current !== NOBODY) {
      const slot = this.#current + Counter.cpuNanoseconds;
      this.doubles[slot] = (this.doubles[slot] as number) + (now - this.#since) * 1e6;
    }
    this.#since = now;
  }
}
