import { Observable, type Subscriber } from 'rxjs';

/**
 * A hot observable fed by `emit`. It does what a Subject does, without a closure for each value: frames cross it at the
 * rate of the ring. Subscribers that come or go during an emission take effect with the next value.
 */
export class HotStream<Value> extends Observable<Value> {
  private subscribers: readonly Subscriber<Value>[] = [];
  /** The one subscriber, where there is exactly one: mostly so, and then a value costs no walk. */
  private only: Subscriber<Value> | undefined;
  private completed = false;

  constructor() {
    super((subscriber) => {
      if (this.completed) {
        subscriber.complete();
        return undefined;
      }
      this.become([...this.subscribers, subscriber]);
      return () => this.become(this.subscribers.filter((other) => other !== subscriber));
    });
  }

  get observed(): boolean {
    return this.subscribers.length > 0;
  }

  /** How many are subscribed. */
  get observers(): number {
    return this.subscribers.length;
  }

  /** @returns `false` when nobody is subscribed. */
  emit(value: Value): boolean {
    const { only } = this;
    if (only !== undefined) {
      only.next(value);
      return true;
    }
    const { subscribers } = this;
    for (let index = 0; index < subscribers.length; index += 1) subscribers[index]?.next(value);
    return subscribers.length > 0;
  }

  complete(): void {
    if (this.completed) return;
    this.completed = true;
    const subscribers = this.subscribers;
    this.become([]);
    for (const subscriber of subscribers) subscriber.complete();
  }

  private become(subscribers: readonly Subscriber<Value>[]): void {
    this.subscribers = subscribers;
    this.only = subscribers.length === 1 ? subscribers[0] : undefined;
  }
}
