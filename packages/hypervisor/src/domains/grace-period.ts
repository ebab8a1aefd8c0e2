/**
 * When what a domain left behind may be freed although other threads looked it up: once each of them has left the
 * hypercall it was in. Every thread has an epoch that is odd inside a hypercall. One thread alone needs none of this.
 */
import { lock, unlock } from '../machine/lock';
import { HEADER, type MachineMemory } from '../machine/machine-memory';
import { Thread } from '../run/doorbell';

const MAXIMUM_THREADS = 64;
/** Milliseconds after which a thread counts as gone for good (its worker was terminated inside a hypercall). */
const PATIENCE = 500;

export class GracePeriod {
  readonly #words: Int32Array;

  constructor(memory: MachineMemory) {
    this.#words = memory.words;
  }

  /** Adds a thread's record; its number, -1 when the machine has no room for more threads. */
  register(thread: number): number {
    const words = this.#words;
    lock(words, HEADER.threadsLock);
    let number = -1;
    for (let index = 0; index < MAXIMUM_THREADS && number < 0; index++) {
      if (words[HEADER.threads + index] !== 0) continue;
      Atomics.store(words, HEADER.threads + index, thread);
      number = index;
    }
    unlock(words, HEADER.threadsLock);
    return number;
  }

  unregister(thread: number): void {
    const words = this.#words;
    for (let index = 0; index < MAXIMUM_THREADS; index++) {
      Atomics.compareExchange(words, HEADER.threads + index, thread, 0);
    }
  }

  enter(thread: number): void {
    Atomics.add(this.#words, thread + Thread.epoch, 1);
  }

  leave(thread: number): void {
    Atomics.add(this.#words, thread + Thread.epoch, 1);
  }

  /** Waits until every thread but `self` has been outside of hypercalls once. */
  wait(self: number): void {
    const words = this.#words;
    const until = performance.now() + PATIENCE;
    for (let index = 0; index < MAXIMUM_THREADS; index++) {
      const thread = Atomics.load(words, HEADER.threads + index);
      if (thread === 0 || thread === self) continue;
      const epoch = Atomics.load(words, thread + Thread.epoch);
      if ((epoch & 1) === 0) continue;
      while (Atomics.load(words, thread + Thread.epoch) === epoch && performance.now() < until) {
        Atomics.wait(words, thread + Thread.epoch, epoch, 1);
      }
    }
  }
}
