/**
 * How one thread wakes another: a word per thread that changes with every ring, and a second one that says whether
 * somebody sleeps on it. Rings to an awake thread cost no system call.
 */

/** Words of a thread's record. */
export const Thread = {
  doorbell: 0,
  armed: 1,
  /** Bytes of a record. */
  bytes: 4096,
} as const;

export function ring(words: Int32Array, thread: number): void {
  Atomics.add(words, thread + Thread.doorbell, 1);
  if (Atomics.exchange(words, thread + Thread.armed, 0) !== 0) {
    Atomics.notify(words, thread + Thread.doorbell);
  }
}

type WaitAsync = (
  words: Int32Array,
  index: number,
  value: number,
) => { readonly async: boolean; readonly value: Promise<string> | string };

const waitAsync = (Atomics as unknown as { readonly waitAsync: WaitAsync }).waitAsync;

/**
 * Listens to a thread's doorbell. `waitAsync` does not keep the event loop alive; whoever needs that holds a handle of
 * his own.
 */
export class DoorbellListener {
  #stopped = false;

  /** @param rung looks for work; it is called after every ring, and once at the start. */
  constructor(
    private readonly words: Int32Array,
    private readonly thread: number,
    private readonly rung: () => void,
  ) {}

  start(): void {
    this.#wait();
  }

  stop(): void {
    this.#stopped = true;
    ring(this.words, this.thread);
  }

  #wait(): void {
    if (this.#stopped) return;
    const { words, thread } = this;
    // Armed before the last look: a ring after the look finds the flag, one before it left its work in sight.
    Atomics.store(words, thread + Thread.armed, 1);
    const value = Atomics.load(words, thread + Thread.doorbell);
    this.rung();
    const wait = waitAsync(words, thread + Thread.doorbell, value);
    const again = () => this.#wait();
    if (wait.async) (wait.value as Promise<string>).then(again, again);
    else setImmediate(again);
  }
}
