/**
 * A xenstore client over any byte transport: our own server's, a unix socket, a ring page.
 *
 * @packageDocumentation
 */
import {
  type XenStore,
  XenStoreError,
  type XenStoreEvent,
  type XenStoreOperations,
  type XenStorePermission,
} from '@netchannel2/xen';
import { Observable, type Subscriber } from 'rxjs';
import type { ByteDuplex } from './byte-duplex';
import { ClientConnection, type ClientConnectionOptions } from './client-connection';
import { ClientOperations, type SendRequest } from './client-operations';
import { type MessageName, utf8ByteString, utf8Text } from './wire';

const DEFAULT_ATTEMPTS = 32;

interface ClientWatch {
  readonly path: string;
  readonly depth: number | undefined;
  readonly subscriber: Subscriber<XenStoreEvent>;
}

export interface XenStoreClientOptions extends ClientConnectionOptions {
  /**
   * Called when the connection is lost, not when it is closed; to answer with `reopen` or `giveUp`, now or later.
   * Default: `giveUp`.
   */
  readonly onLost?: (client: XenStoreClient) => void;
  /** Called once, by `close`. */
  readonly onClosed?: () => void;
}

export class XenStoreClient implements XenStore {
  readonly #options: XenStoreClientOptions;
  readonly #watches = new Map<string, ClientWatch>();
  readonly #operations: ClientOperations;
  #connection: ClientConnection;
  #nextToken = 1;
  #closed = false;

  constructor(transport: ByteDuplex, options: XenStoreClientOptions = {}) {
    this.#options = options;
    this.#operations = new ClientOperations((...request) => this.#connection.request(...request));
    this.#connection = this.#open(transport);
  }

  /** Whether requests can be sent. */
  get connected(): boolean {
    return !this.#connection.over;
  }

  /** Whether `close` was called. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Watches subscribed to. */
  get watchCount(): number {
    return this.#watches.size;
  }

  read(path: string): Promise<string> {
    return this.#operations.read(path);
  }
  readBytes(path: string): Promise<Uint8Array> {
    return this.#operations.readBytes(path);
  }
  tryRead(path: string): Promise<string | undefined> {
    return this.#operations.tryRead(path);
  }
  write(path: string, value: string | Uint8Array): Promise<void> {
    return this.#operations.write(path, value);
  }
  makeDirectory(path: string): Promise<void> {
    return this.#operations.makeDirectory(path);
  }
  remove(path: string): Promise<void> {
    return this.#operations.remove(path);
  }
  list(path: string): Promise<string[]> {
    return this.#operations.list(path);
  }
  getPermissions(path: string): Promise<XenStorePermission[]> {
    return this.#operations.getPermissions(path);
  }
  setPermissions(path: string, permissions: readonly XenStorePermission[]): Promise<void> {
    return this.#operations.setPermissions(path, permissions);
  }

  /**
   * {@inheritDoc XenStore.watch}
   *
   * @param options - `depth`: levels below `path` that count, where the daemon offers it (Xen 4.21 and newer); on
   * `@introduceDomain` and `@releaseDomain`, depth 1 makes events name the domain: `@releaseDomain/5`.
   */
  watch(path: string, options: { readonly depth?: number } = {}): Observable<XenStoreEvent> {
    return new Observable((subscriber) => {
      if (this.#closed) {
        subscriber.error(new XenStoreError('ENOTCONN', 'WATCH', path));
        return;
      }
      const token = `w${this.#nextToken++}`;
      const watch = { path, depth: options.depth, subscriber };
      this.#watches.set(token, watch);
      this.#register(token, watch);
      return () => {
        if (!this.#watches.delete(token) || this.#connection.over) return;
        this.#connection
          .request('UNWATCH', `${utf8ByteString(path)}\0${token}\0`, 0, path)
          .catch(() => undefined);
      };
    });
  }

  async transaction<Result>(
    body: (transaction: XenStoreOperations) => Promise<Result>,
    options: { readonly attempts?: number } = {},
  ): Promise<Result> {
    const attempts = options.attempts ?? DEFAULT_ATTEMPTS;
    for (let attempt = 0; attempt < attempts; attempt++) {
      // A transaction belongs to the connection that opened it, and ends with it.
      const connection = this.#connection;
      const send: SendRequest = (...request) => connection.request(...request);
      const started = await send('TRANSACTION_START', '\0', 0, '');
      const id = Number(utf8Text(started).replace(/\0$/, ''));
      if (!Number.isInteger(id) || id <= 0) throw new XenStoreError('EIO', 'TRANSACTION_START', '');
      let result: Result;
      try {
        result = await body(new ClientOperations(send, id));
      } catch (error) {
        await send('TRANSACTION_END', 'F\0', id, '').catch(() => undefined);
        throw error;
      }
      try {
        await send('TRANSACTION_END', 'T\0', id, '');
        return result;
      } catch (error) {
        if (!(error instanceof XenStoreError && error.code === 'EAGAIN')) throw error;
      }
    }
    throw new XenStoreError('EAGAIN', 'TRANSACTION_END', '');
  }

  /**
   * Sends any request and answers the strings of its reply: for toolstacks (`INTRODUCE`, `RELEASE`, `SET_TARGET`,
   * `CONTROL` …).
   */
  async request(operation: MessageName, ...strings: readonly (string | number)[]): Promise<string[]> {
    const texts = strings.map((each) => utf8ByteString(String(each)));
    if (texts.some((each) => each.includes('\0'))) throw new XenStoreError('EINVAL', operation, '');
    const payload = texts.map((each) => `${each}\0`).join('');
    const reply = await this.#connection.request(operation, payload);
    return utf8Text(reply).replace(/\0$/, '').split('\0');
  }

  /** Ends the connection. Watches complete, what is pending is rejected with `ENOTCONN`. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const watches = [...this.#watches.values()];
    this.#watches.clear();
    this.#connection.close();
    for (const { subscriber } of watches) subscriber.complete();
    this.#options.onClosed?.();
  }

  /** Goes on over another transport after the connection was lost; watches are registered anew and fire once more. */
  reopen(transport: ByteDuplex): void {
    if (this.#closed || !this.#connection.over)
      throw new Error('Only a client that lost its connection reopens.');
    this.#connection = this.#open(transport);
    for (const [token, watch] of this.#watches) this.#register(token, watch);
  }

  /** The connection will not come back: watches end with `EIO`. */
  giveUp(): void {
    const watches = [...this.#watches.values()];
    this.#watches.clear();
    for (const { path, subscriber } of watches) subscriber.error(new XenStoreError('EIO', 'WATCH', path));
  }

  #open(transport: ByteDuplex): ClientConnection {
    return new ClientConnection(
      transport,
      {
        event: (path, token) => this.#watches.get(token)?.subscriber.next({ path: utf8Text(path) }),
        lost: () => this.#lost(),
      },
      this.#options,
    );
  }

  #register(token: string, { path, depth, subscriber }: ClientWatch): void {
    const bytes = utf8ByteString(path);
    const connection = this.#connection;
    const request = bytes.includes('\0')
      ? Promise.reject(new XenStoreError('EINVAL', 'WATCH', path))
      : connection.request(
          'WATCH',
          `${bytes}\0${token}\0${depth === undefined ? '' : `${depth}\0`}`,
          0,
          path,
        );
    request.catch((error: unknown) => {
      // A lost connection is `lost()`'s affair: the watch may be registered again.
      if (connection.over) return;
      if (this.#watches.delete(token)) subscriber.error(error);
    });
  }

  #lost(): void {
    if (this.#closed) return;
    const { onLost } = this.#options;
    if (onLost === undefined) this.giveUp();
    else onLost(this);
  }
}
