/**
 * A client for tests that shows the wire as it is.
 *
 * @packageDocumentation
 */
import type { ByteDuplex } from '../byte-duplex';
import { MessageReader, OVERSIZED } from '../message-reader';
import { encodeMessage, MESSAGE_TYPE, type Message, type MessageName } from '../wire';

/** Lets everything that is due in microtasks happen. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 100; turn++) await Promise.resolve();
}

/** What a reply says: its payload, or `!` and the error's name. */
export function outcome(message: Message): string {
  return message.type === MESSAGE_TYPE.ERROR ? `!${message.payload.slice(0, -1)}` : message.payload;
}

export class RawClient {
  /** Everything received, as bytes. */
  received: number[] = [];
  /** Replies nobody waited for. */
  readonly replies: Message[] = [];
  /** Events as `path:token`. */
  events: string[] = [];
  /** Replies (`=`) and events in the order they came. */
  order: string[] = [];
  closed = false;
  readonly #reader = new MessageReader();
  readonly #waiting: ((message: Message) => void)[] = [];

  constructor(readonly duplex: ByteDuplex) {
    duplex.open({
      receive: (chunk) => this.#receive(chunk),
      drained: () => undefined,
      closed: () => {
        this.closed = true;
      },
    });
  }

  sendBytes(bytes: Iterable<number> | string): void {
    this.duplex.send(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : Uint8Array.from(bytes));
  }

  /** Sends a request by its type's number and answers the reply. */
  exchange(type: number, payload: string, transactionId = 0, requestId = 0): Promise<Message> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.duplex.send(encodeMessage({ type, requestId, transactionId, payload }));
    });
  }

  async ask(operation: MessageName | number, payload: string, transactionId = 0): Promise<string> {
    const type = typeof operation === 'number' ? operation : MESSAGE_TYPE[operation];
    const reply = await this.exchange(type, payload, transactionId);
    if (reply.type !== type && reply.type !== MESSAGE_TYPE.ERROR) return `?type ${reply.type}`;
    return outcome(reply);
  }

  /** The events so far, and forgets them. */
  async takeEvents(): Promise<string[]> {
    await settle();
    const { events } = this;
    this.events = [];
    return events;
  }

  #receive(chunk: Uint8Array): void {
    this.received.push(...chunk);
    this.#reader.push(chunk);
    for (let message = this.#reader.next(); message !== undefined; message = this.#reader.next()) {
      if (message === OVERSIZED) throw new Error('The server sent an oversized message.');
      if (message.type === MESSAGE_TYPE.WATCH_EVENT) {
        const event = message.payload.slice(0, -1).replace('\0', ':');
        this.events.push(event);
        this.order.push(event);
        continue;
      }
      this.order.push('=');
      const resolve = this.#waiting.shift();
      if (resolve === undefined) this.replies.push(message);
      else resolve(message);
    }
  }
}
