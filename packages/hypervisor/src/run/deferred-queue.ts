/**
 * Work a domain wants done once at the end of its turn (the port's `Domain.defer`).
 */
import type { DeferredWork } from '@netchannel2/xen';
import { reportError } from './report-error';

export class DeferredQueue {
  #waiting: DeferredWork[] = [];
  #running: DeferredWork[] = [];

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** True when the work was not queued yet. */
  add(work: DeferredWork): boolean {
    if (work.deferred) return false;
    work.deferred = true;
    this.#waiting.push(work);
    return true;
  }

  /** Runs what is queued now; what that work queues waits for the next call. */
  runOnce(): void {
    const batch = this.#waiting;
    this.#waiting = this.#running;
    this.#running = batch;
    for (let index = 0; index < batch.length; index++) {
      const work = batch[index] as DeferredWork;
      work.deferred = false;
      try {
        work.run();
      } catch (error) {
        reportError(error);
      }
    }
    batch.length = 0;
  }

  clear(): void {
    for (const work of this.#waiting) work.deferred = false;
    this.#waiting.length = 0;
  }
}
