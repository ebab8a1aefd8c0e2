/**
 * Messages on their way to a client that may read slowly.
 *
 * @packageDocumentation
 */
import { encodeMessages, HEADER_SIZE, MESSAGE_TYPE, type Message, messageSize } from './wire';

interface Queued {
  readonly message: Message;
  /** When an event was queued, in milliseconds; `undefined` for replies. */
  readonly eventAt: number | undefined;
}

/** About what a queued message costs besides its bytes. */
const OVERHEAD = 128;

export class OutputQueue {
  #queued: Queued[] = [];
  readonly #events = new Set<string>();
  /** Bytes waiting. */
  byteLength = 0;
  /** Replies waiting. */
  replies = 0;

  /** About the memory the queue takes, in bytes. */
  get memory(): number {
    return this.byteLength + this.#queued.length * OVERHEAD;
  }

  get length(): number {
    return this.#queued.length;
  }

  reply(message: Message): void {
    this.#queued.push({ message, eventAt: undefined });
    this.byteLength += messageSize(message);
    this.replies += 1;
  }

  /** Queues an event unless the same one waits already. Returns whether it was queued. */
  event(payload: string, now: number): boolean {
    const special = payload.startsWith('@');
    if (!special && this.#events.has(payload)) return false;
    this.#events.add(payload);
    const message = { type: MESSAGE_TYPE.WATCH_EVENT, requestId: 0, transactionId: 0, payload };
    this.#queued.push({ message, eventAt: now });
    this.byteLength += HEADER_SIZE + payload.length;
    return true;
  }

  /** Drops the events that have waited since before `time`. Returns how many. */
  dropEventsBefore(time: number): number {
    const oldest = this.#queued.find((each) => each.eventAt !== undefined)?.eventAt;
    if (oldest === undefined || oldest >= time) return 0;
    const kept = this.#queued.filter((each) => each.eventAt === undefined || each.eventAt >= time);
    const dropped = this.#queued.length - kept.length;
    this.#replace(kept);
    return dropped;
  }

  /** Takes messages out, as bytes: about `most` bytes, and at least one message. */
  take(most: number): Buffer {
    let count = 0;
    let size = 0;
    while (count < this.#queued.length && size < most) {
      const queued = this.#queued[count];
      if (queued === undefined) break;
      size += messageSize(queued.message);
      count += 1;
    }
    const taken = this.#queued.slice(0, count);
    if (count === this.#queued.length) this.clear();
    else {
      this.#queued = this.#queued.slice(count);
      this.byteLength -= size;
      for (const { message, eventAt } of taken) {
        if (eventAt === undefined) this.replies -= 1;
        else this.#events.delete(message.payload);
      }
    }
    return encodeMessages(taken.map((each) => each.message));
  }

  clear(): void {
    this.#queued = [];
    this.#events.clear();
    this.byteLength = 0;
    this.replies = 0;
  }

  #replace(kept: Queued[]): void {
    this.clear();
    for (const queued of kept) {
      this.#queued.push(queued);
      this.byteLength += messageSize(queued.message);
      if (queued.eventAt === undefined) this.replies += 1;
      else this.#events.add(queued.message.payload);
    }
  }
}
