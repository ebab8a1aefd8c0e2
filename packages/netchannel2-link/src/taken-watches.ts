import type { UringProducer } from '@netchannel2/netchannel2';

/** Somebody waits for the peer to take what was sent. */
interface TakenWatch {
  /** Everything before this index of the ring is to be taken. */
  readonly index: number;
  /** Everything is to be finished, too. */
  readonly finished: boolean;
  readonly done: () => void;
}

/** Whoever waits for the peer to take what was sent up to now. Looked at after each pass; costs nothing while nobody waits. */
export class TakenWatches {
  private waiting: TakenWatch[] = [];

  constructor(private readonly producer: UringProducer) {}

  get some(): boolean {
    return this.waiting.length > 0;
  }

  /** @param finished waits until nothing is unfinished either. @param done called once, from a pass. */
  add(finished: boolean, done: () => void): void {
    this.waiting.push({ index: this.producer.producedIndex, finished, done });
  }

  /** Tells those whose wait is over; asks the peer for an event for the others. @returns `false`: the peer broke its ring. */
  check(unfinished: number): boolean {
    const still: TakenWatch[] = [];
    for (const watch of this.waiting) {
      const taken = this.producer.awaitTaken(watch.index);
      if (taken && (unfinished === 0 || !watch.finished)) watch.done();
      else still.push(watch);
    }
    this.waiting = still;
    return !this.producer.broken;
  }

  end(): void {
    this.waiting = [];
  }
}
