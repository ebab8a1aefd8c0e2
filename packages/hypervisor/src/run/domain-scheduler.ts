/**
 * Time of one domain: whatever its code waits for ends with it.
 */
import { type SchedulerAction, type SchedulerLike, Subscription } from 'rxjs';

type Work<State> = (this: SchedulerAction<State>, state?: State) => void;

/**
 * A scheduler whose work is dropped once the domain has ended. Drivers keep addresses of pages; a timer that outlived
 * them would write into what may be another domain's memory by then.
 */
export class DomainScheduler implements SchedulerLike {
  readonly #waiting = new Set<Subscription>();
  #ended = false;

  /** @param machine the scheduler everything of the machine waits on. */
  constructor(private readonly machine: SchedulerLike) {}

  now(): number {
    return this.machine.now();
  }

  schedule<State>(work: Work<State>, delay = 0, state?: State): Subscription {
    if (this.#ended) return Subscription.EMPTY;
    return new DomainAction(this.machine, this.#waiting, work).schedule(state, delay);
  }

  /** The domain has ended: nothing it scheduled runs any more, and nothing can be scheduled. */
  end(): void {
    this.#ended = true;
    for (const action of this.#waiting) action.unsubscribe();
  }

  /** Pieces of work whose time has not come. */
  get waiting(): number {
    return this.#waiting.size;
  }
}

/**
 * Work that was scheduled, and may schedule itself again. Time is kept by an action of the machine's scheduler, so that
 * repeated work keeps its beat and virtual time its order.
 */
class DomainAction<State> extends Subscription implements SchedulerAction<State> {
  /** The machine's action, once it has run. */
  #action: SchedulerAction<State> | undefined;
  #again = false;

  constructor(
    private readonly machine: SchedulerLike,
    private readonly waiting: Set<Subscription>,
    private readonly work: Work<State>,
  ) {
    super(() => this.waiting.delete(this));
  }

  schedule(state?: State, delay = 0): Subscription {
    if (this.closed) return this;
    this.#again = true;
    this.waiting.add(this);
    if (this.#action !== undefined) {
      this.#action.schedule(state, delay);
      return this;
    }
    const { machine } = this;
    const run = (action: SchedulerAction<State>, due: State | undefined) => this.#run(action, due);
    this.add(
      machine.schedule<State>(
        function (due) {
          run(this, due);
        },
        delay,
        state,
      ),
    );
    return this;
  }

  #run(action: SchedulerAction<State>, state: State | undefined): void {
    this.#action = action;
    this.#again = false;
    let failed = true;
    try {
      this.work(state);
      failed = false;
    } finally {
      // It stays among those that wait until here: the domain may end while it runs.
      if (failed) this.unsubscribe();
      else if (!this.#again) this.waiting.delete(this);
    }
  }
}
