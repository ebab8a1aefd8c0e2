/**
 * One client of the daemon: its input, its output, its watches and its transactions.
 *
 * @packageDocumentation
 */
import type { ByteDuplex, StreamFault } from './byte-duplex';
import type { DomainRecord } from './domains';
import { MessageReader, OVERSIZED } from './message-reader';
import { OutputQueue } from './output-queue';
import { domainPath, type PathRules } from './paths';
import type { Identity } from './permissions';
import { exceeds, type Quotas } from './quotas';
import type { Transaction } from './transaction';
import type { Watch, Watcher } from './watches';
import type { Message } from './wire';

/** Undelivered events of unprivileged domains are dropped after this many milliseconds. */
const EVENT_PATIENCE = 20_000;
/** Bytes handed to the transport at once. */
const SEND_SIZE = 256 * 1024;
/** Bytes of requests kept before the transport is asked to hold the rest back. */
const INPUT_LIMIT = 256 * 1024;
/** Bytes of replies a privileged client may leave unread before its requests are left unread, too. */
const PRIVILEGED_REPLY_LIMIT = 1024 * 1024;
/** Bytes a privileged client may leave unread before it is dropped. */
const PRIVILEGED_MEMORY_LIMIT = 16 * 1024 * 1024;

/** What a connection needs of the server. */
export interface ConnectionOwner {
  readonly now: () => number;
  quotasOf(domid: number): Quotas;
  /** The connection has a request to serve. */
  ready(connection: Connection): void;
  /** The connection has something to send. */
  dirty(connection: Connection): void;
  /** The client starts anew: watches and transactions are to be dropped. */
  restarted(connection: Connection): void;
  /** The connection is over: watches and transactions are to be dropped. */
  ended(connection: Connection): void;
  eventsDropped(count: number): void;
  log(text: string): void;
}

export interface ConnectionOptions {
  readonly privileged: boolean;
  /** Gather the input of all sockets that are readable before serving, instead of serving in a microtask. */
  readonly gathered: boolean;
  readonly duplex: ByteDuplex;
}

export class Connection implements Watcher, Identity, PathRules {
  readonly domid: number;
  readonly privileged: boolean;
  readonly gathered: boolean;
  readonly base: string;
  /** By path and token. */
  readonly watches = new Map<string, Watch>();
  readonly transactions = new Map<number, Transaction>();
  nextTransactionId = 1;
  /** Marks of the server's lists, so that a connection is in each at most once. */
  inReady = false;
  inDirty = false;

  readonly #duplex: ByteDuplex;
  readonly #reader = new MessageReader();
  readonly #output = new OutputQueue();
  #blocked = false;
  #paused = false;
  #ended = false;
  #warned = false;

  constructor(
    private readonly owner: ConnectionOwner,
    readonly domain: DomainRecord,
    options: ConnectionOptions,
  ) {
    this.domid = domain.domid;
    this.privileged = options.privileged;
    this.gathered = options.gathered;
    this.base = domainPath(domain.domid);
    this.#duplex = options.duplex;
    this.#duplex.open({
      receive: (chunk) => this.#receive(chunk),
      drained: () => this.#drained(),
      reset: () => this.reset(),
      closed: () => this.end(),
    });
  }

  get identity(): Identity {
    return this;
  }

  get target(): number | undefined {
    return this.domain.target;
  }

  get quotas(): Quotas {
    return this.owner.quotasOf(this.domid);
  }

  get limit(): number | undefined {
    if (this.privileged) return undefined;
    const limit = this.quotas['path-max'];
    return limit === 0 ? undefined : limit;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Bytes waiting in either direction. */
  get queuedBytes(): number {
    return this.#output.byteLength + this.#reader.buffered;
  }

  /** Whether a request can be served now. */
  get hasRequest(): boolean {
    return !this.#ended && !this.#congested && this.#reader.ready;
  }

  /** Takes the next request. A client whose framing cannot be followed is dropped. */
  nextRequest(): Message | undefined {
    const message = this.#reader.next();
    if (message !== OVERSIZED) return message;
    this.fail('protocol');
    return undefined;
  }

  reply(message: Message): void {
    if (this.#ended) return;
    this.#output.reply(message);
    this.owner.dirty(this);
  }

  deliver(payload: string): void {
    if (this.#ended) return;
    const output = this.#output;
    if (!this.privileged) {
      const now = this.owner.now();
      this.owner.eventsDropped(output.dropEventsBefore(now - EVENT_PATIENCE));
      const size = output.memory + payload.length;
      if (exceeds(size, this.quotas.memory)) {
        this.owner.eventsDropped(1);
        return;
      }
      if (exceeds(size, this.quotas['memory-soft']) && !this.#warned) {
        this.#warned = true;
        this.owner.log(`domain ${this.domid} leaves ${size} bytes unread`);
      }
      if (output.event(payload, now)) this.owner.dirty(this);
      return;
    }
    if (!output.event(payload, 0)) return;
    if (output.memory > PRIVILEGED_MEMORY_LIMIT) {
      this.owner.log(`dropping a client of domain ${this.domid} that does not read`);
      this.end();
      return;
    }
    this.owner.dirty(this);
  }

  /** Hands what is queued to the transport, as far as it takes it. */
  flush(): void {
    while (!this.#blocked && !this.#ended && this.#output.length > 0) {
      this.#blocked = !this.#duplex.send(this.#output.take(SEND_SIZE));
    }
    if (!this.#blocked) this.#warned = false;
    this.#balance();
    if (this.hasRequest) this.owner.ready(this);
  }

  /** Holds input back or lets it flow, whichever the queues ask for. */
  #balance(): void {
    const hold = (this.#blocked && this.#congested) || this.#reader.buffered > INPUT_LIMIT;
    if (hold === this.#paused || this.#ended) return;
    this.#paused = hold;
    if (hold) this.#duplex.pause();
    else this.#duplex.resume();
  }

  /** Ends the connection because the client broke the protocol; nothing more is sent. */
  fail(fault: StreamFault): void {
    if (this.#ended) return;
    this.#duplex.fail?.(fault);
    this.end();
  }

  /** Ends the connection. Idempotent. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#reader.clear();
    this.#output.clear();
    this.#duplex.close();
    this.owner.ended(this);
  }

  /** The client starts anew: forgets its watches, its transactions, what is half received and not yet sent. */
  reset(): void {
    this.#reader.clear();
    this.#output.clear();
    this.#blocked = false;
    this.owner.restarted(this);
  }

  /** Too much is queued for the client to serve more of its requests before some of it went out. */
  get #congested(): boolean {
    if (this.privileged) return this.#output.byteLength > PRIVILEGED_REPLY_LIMIT;
    return exceeds(this.#output.replies + 1, this.quotas.outstanding);
  }

  #receive(chunk: Uint8Array): void {
    if (this.#ended) return;
    this.#reader.push(chunk);
    if (this.hasRequest) this.owner.ready(this);
    this.#balance();
  }

  #drained(): void {
    if (this.#ended) return;
    this.#blocked = false;
    this.flush();
  }
}
