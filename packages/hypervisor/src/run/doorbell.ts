/**
 * How one thread wakes another: a word per thread that changes with every ring, and a second one that says whether
 * somebody sleeps on it. Rings to an awake thread cost no system call.
 */

/** Words of a thread's record. */
export const Thread = {
  doorbell: 0,
  armed: 1,
  /** Odd while the thread is inside a hypercall; see `grace-period.ts`. */
  epoch: 16,
} as const;

export function ring(words: Int32Array, thread: number): void {
  Atomics.add(words, thread + Thread.doorbell, 1);
  if (Atomics.exchange(words, thread + Thread.armed, 0) !== 0) {
    Atomics.notify(words, thread + Thread.doorbell);
  }
}

interface AsyncWait {
  readonly async: boolean;
  readonly value: Promise<string> | string;
}
type WaitAsync = (words: Int32Array, index: number, value: number) => AsyncWait;

const waitAsync = (Atomics as unknown as { readonly waitAsync: WaitAsync }).waitAsync;

/**
 * A thread's sleep. The wait does not keep the event loop alive; whoever needs that holds a handle of his own.
 */
export class Doorbell {
  #sleeping = false;
  #stopped = false;

  /** @param look makes due domains run; true when it found any. */
  constructor(
    private readonly words: Int32Array,
    private readonly thread: number,
    private readonly look: () => boolean,
  ) {}

  /** The thread has nothing left to do: wakes it when somebody rings. */
  sleep(): void {
    const { words, thread } = this;
    while (!this.#sleeping && !this.#stopped) {
      // Armed before the last look: a ring after the look finds the flag, one before it left its work in sight.
      Atomics.store(words, thread + Thread.armed, 1);
      const value = Atomics.load(words, thread + Thread.doorbell);
      if (this.look()) {
        Atomics.store(words, thread + Thread.armed, 0);
        return;
      }
      const wait = waitAsync(words, thread + Thread.doorbell, value);
      if (!wait.async) continue;
      this.#sleeping = true;
      const wake = () => this.#wake();
      (wait.value as Promise<string>).then(wake, wake);
    }
  }

  stop(): void {
    this.#stopped = true;
    ring(this.words, this.thread);
  }

  #wake(): void {
    this.#sleeping = false;
    if (this.#stopped) return;
    Atomics.store(this.words, this.thread + Thread.armed, 0);
    if (!this.look()) this.sleep();
  }
}
