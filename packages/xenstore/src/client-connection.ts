/**
 * Requests and replies over one byte stream.
 *
 * @packageDocumentation
 */
import { type Errno, XenStoreError } from '@netchannel2/xen';
import type { ByteDuplex } from './byte-duplex';
import { MessageReader, OVERSIZED } from './message-reader';
import { encodeMessages, MESSAGE_TYPE, type Message, type MessageName, PAYLOAD_MAX } from './wire';

interface PendingRequest {
  readonly operation: MessageName;
  readonly path: string;
  readonly message: Message;
  readonly resolve: (payload: string) => void;
  readonly reject: (reason: XenStoreError) => void;
}

export interface ClientConnectionHandlers {
  /** A watch fired. */
  event(path: string, token: string): void;
  /** The other end is gone; every pending request has been rejected. */
  lost(): void;
}

export interface ClientConnectionOptions {
  /** Requests on their way at once. 1 for the kernel's device, which takes one at a time. Default 256. */
  readonly maximumInFlight?: number;
}

/** The names the protocol knows. */
const KNOWN_ERRORS: readonly Errno[] = [
  'EINVAL',
  'EACCES',
  'EEXIST',
  'EISDIR',
  'ENOENT',
  'ENOMEM',
  'ENOSPC',
  'EIO',
  'ENOTEMPTY',
  'ENOSYS',
  'EROFS',
  'EBUSY',
  'EAGAIN',
  'EISCONN',
  'E2BIG',
  'EPERM',
];

/** The errno an ERROR reply carries; names nobody knows read as `EINVAL`. */
export function errorCode(payload: string): Errno {
  const end = payload.indexOf('\0');
  const name = end < 0 ? payload : payload.slice(0, end);
  return KNOWN_ERRORS.find((code) => code === name) ?? 'EINVAL';
}

export class ClientConnection {
  readonly #duplex: ByteDuplex;
  readonly #handlers: ClientConnectionHandlers;
  readonly #maximumInFlight: number;
  readonly #reader = new MessageReader();
  /** Not sent yet. */
  #waiting: PendingRequest[] = [];
  /** Sent; replies come in this order. */
  #inFlight: PendingRequest[] = [];
  #requestId = 0;
  #sending = false;
  #blocked = false;
  #over = false;

  constructor(duplex: ByteDuplex, handlers: ClientConnectionHandlers, options: ClientConnectionOptions = {}) {
    this.#duplex = duplex;
    this.#handlers = handlers;
    this.#maximumInFlight = options.maximumInFlight ?? 256;
    duplex.open({
      receive: (chunk) => this.#receive(chunk),
      drained: () => {
        this.#blocked = false;
        this.#send();
      },
      closed: () => this.#end('EIO', true),
    });
  }

  get over(): boolean {
    return this.#over;
  }

  /** Sends a request; the promise answers the reply's payload as a byte string. `path` is for the error's text. */
  request(operation: MessageName, payload: string, transactionId = 0, path = ''): Promise<string> {
    return new Promise((resolve, reject) => {
      if (this.#over) {
        reject(new XenStoreError('ENOTCONN', operation, path));
        return;
      }
      if (payload.length > PAYLOAD_MAX) {
        reject(new XenStoreError('E2BIG', operation, path));
        return;
      }
      this.#requestId = (this.#requestId + 1) >>> 0;
      const message = { type: MESSAGE_TYPE[operation], requestId: this.#requestId, transactionId, payload };
      this.#waiting.push({ operation, path, message, resolve, reject });
      this.#schedule();
    });
  }

  /** Ends the connection; what is pending is rejected with `ENOTCONN`. What was asked for before is still sent. */
  close(): void {
    if (this.#over) return;
    if (this.#duplex.outlivesClose === true) {
      this.request('RESET_WATCHES', '\0').catch(() => undefined);
    }
    this.#send();
    this.#end('ENOTCONN', false);
  }

  #schedule(): void {
    if (this.#sending) return;
    this.#sending = true;
    queueMicrotask(() => {
      this.#sending = false;
      this.#send();
    });
  }

  #send(): void {
    if (this.#over || this.#blocked) return;
    const count = Math.min(this.#waiting.length, this.#maximumInFlight - this.#inFlight.length);
    if (count <= 0) return;
    const batch = this.#waiting.slice(0, count);
    this.#waiting = count === this.#waiting.length ? [] : this.#waiting.slice(count);
    for (const request of batch) this.#inFlight.push(request);
    this.#blocked = !this.#duplex.send(encodeMessages(batch.map((request) => request.message)));
  }

  #receive(chunk: Uint8Array): void {
    this.#reader.push(chunk);
    let served = 0;
    while (!this.#over) {
      const message = this.#reader.next();
      if (message === undefined) break;
      if (message === OVERSIZED) {
        this.#end('EIO', true);
        return;
      }
      if (message.type === MESSAGE_TYPE.WATCH_EVENT) this.#event(message.payload);
      else if (this.#answer(message, served)) served += 1;
      else return;
    }
    if (this.#over || served === 0) return;
    this.#inFlight = served === this.#inFlight.length ? [] : this.#inFlight.slice(served);
    if (this.#waiting.length > 0) this.#send();
  }

  #event(payload: string): void {
    const [path, token] = payload.split('\0', 2);
    if (path !== undefined && token !== undefined) this.#handlers.event(path, token);
  }

  /** Settles the request a reply belongs to; `false` ends the connection, as the stream cannot be followed. */
  #answer(message: Message, index: number): boolean {
    const request = this.#inFlight[index];
    if (request === undefined) {
      this.#end('EIO', true);
      return false;
    }
    const { operation, path } = request;
    if (message.type === MESSAGE_TYPE.ERROR) {
      request.reject(new XenStoreError(errorCode(message.payload), operation, path));
      return true;
    }
    if (message.type !== request.message.type) {
      this.#end('EIO', true);
      return false;
    }
    request.resolve(message.payload);
    return true;
  }

  #end(code: Errno, lost: boolean): void {
    if (this.#over) return;
    this.#over = true;
    this.#duplex.close();
    const pending = [...this.#inFlight, ...this.#waiting];
    this.#inFlight = [];
    this.#waiting = [];
    this.#reader.clear();
    for (const { operation, path, reject } of pending) reject(new XenStoreError(code, operation, path));
    if (lost) this.#handlers.lost();
  }
}
