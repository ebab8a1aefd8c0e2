/**
 * Grants whose peer did not let go when they should have ended (spec grant-tables.md §5.2): looked at again until it
 * does. One timer for all of them, none while there are none.
 *
 * @packageDocumentation
 */
import type { SchedulerLike, Subscription } from 'rxjs';

/** Milliseconds between two looks: soon at first, once a second after that. */
const SOON = 10;
const LATER = 1000;
const LOOKS_SOON = 100;

interface Waiting {
  readonly ref: number;
  readonly ended: (() => void) | undefined;
}

export class DeferredEnds {
  #waiting: Waiting[] = [];
  #timer: Subscription | undefined;
  #looks = 0;

  /** @param revoke tries again; when it succeeds the reference is free. */
  constructor(
    private readonly scheduler: SchedulerLike,
    private readonly revoke: (ref: number) => boolean,
  ) {}

  /** Grants that wait. */
  get count(): number {
    return this.#waiting.length;
  }

  add(ref: number, ended: (() => void) | undefined): void {
    this.#waiting.push({ ref, ended });
    // Somebody else's stubborn peer must not make this one wait for long.
    if (this.#looks >= LOOKS_SOON) this.#timer?.unsubscribe();
    this.#looks = 0;
    if (this.#timer === undefined || this.#timer.closed) this.#arm();
  }

  stop(): void {
    this.#timer?.unsubscribe();
    this.#waiting = [];
  }

  #arm(): void {
    const delay = this.#looks < LOOKS_SOON ? SOON : LATER;
    this.#timer = this.scheduler.schedule(() => this.#look(), delay);
  }

  #look(): void {
    this.#looks++;
    const ended: Waiting[] = [];
    this.#waiting = this.#waiting.filter((waiting) => {
      const done = this.revoke(waiting.ref);
      if (done) ended.push(waiting);
      return !done;
    });
    this.#timer = undefined;
    if (this.#waiting.length > 0) this.#arm();
    for (const { ended: tell } of ended) tell?.();
  }
}
