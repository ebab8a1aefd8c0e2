/**
 * A byte stream over a ring page and an event channel, for either end.
 *
 * @packageDocumentation
 */
import type { MemoryArea } from '@netchannel2/xen';
import type { ByteDuplex, ByteReceiver, StreamFault } from './byte-duplex';
import { ALL_FEATURES, FEATURE_RECONNECTION } from './domains';
import {
  clearRings,
  consume,
  INDEX_FAULT,
  loadWord,
  produce,
  REQUESTS,
  RESPONSES,
  RING_ERROR,
  RING_PAGE,
  type RingDirection,
  storeWord,
} from './ring-layout';

/** Ring fulls taken per signal before other work of the process gets its turn. */
const CHUNKS_PER_SIGNAL = 16;

/** What both ends share: moving bytes, and stopping at nonsense. */
abstract class RingStream implements ByteDuplex {
  protected receiver: ByteReceiver | undefined;
  #unsent: { readonly chunk: Uint8Array; start: number }[] = [];
  #paused = false;
  #over = false;

  /**
   * @param page - the shared page, as this side sees it.
   * @param notify - signals the other side through the event channel.
   */
  constructor(
    protected readonly page: MemoryArea,
    protected readonly notify: () => void,
    private readonly incoming: RingDirection,
    private readonly outgoing: RingDirection,
  ) {}

  open(receiver: ByteReceiver): void {
    if (this.receiver !== undefined) throw new Error('This end of the ring is open already.');
    this.receiver = receiver;
    this.start();
    queueMicrotask(() => this.signal());
  }

  /** To be called for each event of the event channel. */
  signal(): void {
    if (this.#over || this.receiver === undefined) return;
    if (this.page.byteLength === 0) {
      this.#end(new Error('The ring page is gone.'));
      return;
    }
    if (!this.connected()) return;
    this.#take(this.receiver);
    const waiting = this.#unsent.length > 0;
    if (waiting && this.#put()) this.receiver.drained();
  }

  send(chunk: Uint8Array): boolean {
    if (this.#over) return true;
    this.#unsent.push({ chunk, start: 0 });
    return this.page.byteLength > 0 && this.connected() && this.#put();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    queueMicrotask(() => this.signal());
  }

  close(): void {
    this.#over = true;
    this.#unsent = [];
  }

  /** Prepares the page. */
  protected abstract start(): void;
  /** Whether bytes may flow; deals with a reconnection. */
  protected abstract connected(): boolean;
  /** Tells the other side what it did wrong. */
  protected abstract complain(error: number): void;

  /** Forgets what is not sent yet. */
  protected dropUnsent(): void {
    this.#unsent = [];
  }

  #take(receiver: ByteReceiver): void {
    for (let chunks = 0; !this.#paused && !this.#over; chunks++) {
      if (chunks === CHUNKS_PER_SIGNAL) {
        setImmediate(() => this.signal());
        return;
      }
      const bytes = consume(this.page, this.incoming);
      if (bytes === INDEX_FAULT) {
        this.#badIndex();
        return;
      }
      if (bytes.byteLength === 0) return;
      this.notify();
      receiver.receive(bytes);
    }
  }

  /** Sends what fits; answers whether all did. */
  #put(): boolean {
    for (let next = this.#unsent[0]; next !== undefined && !this.#over; next = this.#unsent[0]) {
      const count = produce(this.page, this.outgoing, next.chunk, next.start);
      if (count === INDEX_FAULT) {
        this.#badIndex();
        return false;
      }
      if (count > 0) this.notify();
      next.start += count;
      if (next.start < next.chunk.byteLength) return false;
      this.#unsent.shift();
    }
    return !this.#over;
  }

  #badIndex(): void {
    this.complain(RING_ERROR.index);
    this.#end(new Error('The other side set a ring index out of range.'));
  }

  #end(error: Error): void {
    if (this.#over) return;
    this.close();
    this.receiver?.closed(error);
  }
}

/** The daemon's end. Opening it empties the rings and publishes the features. */
export class RingServerEnd extends RingStream {
  readonly #features: number;

  /** @param features - `server_features` bits offered to the domain. Default: all that are implemented. */
  constructor(page: MemoryArea, notify: () => void, features: number = ALL_FEATURES) {
    super(page, notify, REQUESTS, RESPONSES);
    this.#features = features;
  }

  /** Marks the page: the domain broke the protocol. */
  fail(_fault: StreamFault): void {
    this.complain(RING_ERROR.protocol);
  }

  protected start(): void {
    storeWord(this.page, RING_PAGE.serverFeatures, this.#features);
    storeWord(this.page, RING_PAGE.error, RING_ERROR.none);
    // What the domain wrote before it was introduced stays unread, as the counters start again.
    clearRings(this.page);
    this.#finishReconnection();
  }

  protected connected(): boolean {
    if (loadWord(this.page, RING_PAGE.connection) !== 0 && (this.#features & FEATURE_RECONNECTION) !== 0) {
      this.dropUnsent();
      this.receiver?.reset?.();
      clearRings(this.page);
      this.#finishReconnection();
    }
    return true;
  }

  protected complain(error: number): void {
    if (this.page.byteLength === 0) return;
    storeWord(this.page, RING_PAGE.error, error);
    this.notify();
  }

  #finishReconnection(): void {
    if (loadWord(this.page, RING_PAGE.connection) === 0) return;
    storeWord(this.page, RING_PAGE.connection, 0);
    this.notify();
  }
}

/** The domain's end. */
export class RingClientEnd extends RingStream {
  readonly outlivesClose = true;
  readonly #reconnect: boolean;

  /**
   * @param options - `reconnect`: somebody else of this domain used the page before; ask the daemon to forget what
   * was his, where it can.
   */
  constructor(page: MemoryArea, notify: () => void, options: { readonly reconnect?: boolean } = {}) {
    super(page, notify, RESPONSES, REQUESTS);
    this.#reconnect = options.reconnect === true;
  }

  protected start(): void {
    if (!this.#reconnect) return;
    if ((loadWord(this.page, RING_PAGE.serverFeatures) & FEATURE_RECONNECTION) === 0) return;
    storeWord(this.page, RING_PAGE.connection, 1);
    this.notify();
  }

  protected connected(): boolean {
    return loadWord(this.page, RING_PAGE.connection) === 0;
  }

  protected complain(): void {
    // The page has no field in which a domain could complain about the daemon.
  }
}
