import { Observable, type Subscriber } from 'rxjs';

/**
 * A hot observable fed by `emit`. It does what a Subject does, without a closure for each value: frames cross it at the
 * rate of the ring. Subscribers that come or go during an emission take effect with the next value.
 */
export class HotStream<Value> extends Observable<Value> {
  private subscribers: readonly Subscriber<Value>[] = [];
  private completed = false;

  constructor() {
    super((subscriber) => {
      if (this.completed) {
        subscriber.complete();
        return undefined;
      }
      this.subscribers = [...this.subscribers, subscriber];
      return () => {
        this.subscribers = this.subscribers.filter((other) => other !== subscriber);
      };
    });
  }

  get observed(): boolean {
    return this.subscribers.length > 0;
  }

  /** How many are subscribed. */
  get observers(): number {
    return this.subscribers.length;
  }

  emit(value: Value): void {
    const subscribers = this.subscribers;
    for (let index = 0; index < subscribers.length; index += 1) subscribers[index]?.next(value);
  }

  complete(): void {
    if (this.completed) return;
    this.completed = true;
    const subscribers = this.subscribers;
    this.subscribers = [];
    for (const subscriber of subscribers) subscriber.complete();
  }
}
