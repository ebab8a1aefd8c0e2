import type { DeferredWork } from '@netchannel2/xen';

/**
 * The domain's own context on Node's event loop: handlers of a pass, then the work they deferred. What that work defers runs in
 * a later turn of the loop, so that input and output of others get theirs.
 */
export class HostTurns {
  #waiting: DeferredWork[] = [];
  #running: DeferredWork[] = [];
  #inPass = false;
  #scheduled: NodeJS.Immediate | undefined;
  #closed = false;
  readonly #turn = () => {
    this.#scheduled = undefined;
    this.pass(this.due);
  };

  /** @param due what is to be done in a turn that was asked for by {@link request}, before deferred work. */
  constructor(private readonly due: () => void) {}

  defer(work: DeferredWork): void {
    if (work.deferred || this.#closed) return;
    work.deferred = true;
    this.#waiting.push(work);
    if (!this.#inPass) this.request();
  }

  /** A pass soon, if none is under way. */
  request(): void {
    if (this.#scheduled === undefined && !this.#closed) this.#scheduled = setImmediate(this.#turn);
  }

  /** Runs `handlers` in the domain's context, then the work deferred so far. */
  pass(handlers: () => void): void {
    if (this.#closed || this.#inPass) return;
    this.#inPass = true;
    try {
      handlers();
      this.#runDeferred();
    } finally {
      this.#inPass = false;
      if (this.#waiting.length > 0) this.request();
    }
  }

  close(): void {
    this.#closed = true;
    if (this.#scheduled !== undefined) clearImmediate(this.#scheduled);
    for (const work of this.#waiting) work.deferred = false;
    this.#waiting.length = 0;
  }

  #runDeferred(): void {
    if (this.#waiting.length === 0) return;
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
}

/**
 * An exception of a driver or a subscriber must neither stop other devices nor vanish: it is thrown again from a task of its
 * own, as RxJS does.
 */
export function reportError(error: unknown): void {
  setTimeout(() => {
    throw error;
  });
}
