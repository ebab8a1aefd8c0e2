/**
 * Work a domain wants done once at the end of its turn (the port's `Domain.defer`).
 */
import type { DeferredWork } from '@netchannel2/xen';
import { reportError } from './report-error';

/** Stands where work was, so that nothing is kept that has been done. */
const DONE: DeferredWork = { deferred: false, run: () => {} };

/** Both lists keep their length: an array that is emptied by its length gives its memory back, once a turn. */
export class DeferredQueue {
  #waiting: DeferredWork[] = [];
  #running: DeferredWork[] = [];
  #count = 0;

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** True when the work was not queued yet. */
  add(work: DeferredWork): boolean {
    if (work.deferred) return false;
    work.deferred = true;
    this.#waiting[this.#count] = work;
    this.#count++;
    return true;
  }

  /** Runs what is queued now; what that work queues waits for the next call. */
  runOnce(): void {
    const batch = this.#waiting;
    const count = this.#count;
    this.#waiting = this.#running;
    this.#running = batch;
    this.#count = 0;
    for (let index = 0; index < count; index++) {
      const work = batch[index] as DeferredWork;
      batch[index] = DONE;
      work.deferred = false;
      try {
        work.run();
      } catch (error) {
        reportError(error);
      }
    }
  }

  clear(): void {
    for (let index = 0; index < this.#count; index++) (this.#waiting[index] as DeferredWork).deferred = false;
    this.#waiting = [];
    this.#running = [];
    this.#count = 0;
  }
}
