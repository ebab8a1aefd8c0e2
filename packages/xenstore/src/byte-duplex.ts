/**
 * A two-way stream of bytes, as server and client see any transport; and the one inside a process.
 *
 * @packageDocumentation
 */

/** What the user of a {@link ByteDuplex} wants to be told. */
export interface ByteReceiver {
  /** Bytes arrived; the chunk belongs to the receiver. */
  receive(chunk: Uint8Array): void;
  /** After `send` answered `false`: sending may go on. */
  drained(): void;
  /** The other end starts anew on the same stream; what it sent and asked for before is void. */
  reset?(): void;
  /** The stream ended, for whatever reason but our own `close()`. Called at most once, and last. */
  closed(error?: Error): void;
}

export interface ByteDuplex {
  /** Whether the other end learns nothing of our `close()` and has to be told by message before. */
  readonly outlivesClose?: boolean;
  /** Names the receiver, once; nothing is delivered before, nor in the same call. */
  open(receiver: ByteReceiver): void;
  /** Takes bytes to send. `false` asks to wait for `drained()`; the bytes are accepted all the same. */
  send(chunk: Uint8Array): boolean;
  /** Stops and resumes delivery, so that the sender is slowed down. */
  pause(): void;
  resume(): void;
  /** Tells the other end, where the transport has a way to, that it broke the protocol. `close()` follows. */
  fail?(fault: StreamFault): void;
  /** Ends the stream in both directions. Idempotent. */
  close(): void;
}

/** Why a stream cannot be followed any more. */
export type StreamFault = 'protocol';

/** Bytes an end of the in-process pair may hold undelivered before `send` asks to wait. */
const HIGH_WATER = 64 * 1024;

class InProcessEnd implements ByteDuplex {
  #receiver: ByteReceiver | undefined;
  #peer: InProcessEnd | undefined;
  #incoming: Uint8Array[] = [];
  #incomingBytes = 0;
  #paused = false;
  #scheduled = false;
  #ended = false;
  #closed = false;
  #peerWaits = false;

  join(peer: InProcessEnd): void {
    this.#peer = peer;
  }

  open(receiver: ByteReceiver): void {
    if (this.#receiver !== undefined) throw new Error('This end of the stream is open already.');
    this.#receiver = receiver;
    this.#schedule();
  }

  send(chunk: Uint8Array): boolean {
    const peer = this.#peer;
    if (this.#closed || peer === undefined || peer.#closed) return true;
    peer.#incoming.push(chunk);
    peer.#incomingBytes += chunk.byteLength;
    peer.#schedule();
    if (peer.#incomingBytes < HIGH_WATER) return true;
    peer.#peerWaits = true;
    return false;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#schedule();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#incoming = [];
    this.#incomingBytes = 0;
    const peer = this.#peer;
    if (peer === undefined || peer.#closed) return;
    peer.#ended = true;
    peer.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => this.#deliver());
  }

  #deliver(): void {
    this.#scheduled = false;
    const receiver = this.#receiver;
    if (receiver === undefined) return;
    while (!this.#paused && !this.#closed && this.#incoming.length > 0) {
      const chunks = this.#incoming;
      this.#incoming = [];
      this.#incomingBytes = 0;
      for (const [index, chunk] of chunks.entries()) {
        if (this.#closed) return;
        if (this.#paused) {
          this.#incoming = [...chunks.slice(index), ...this.#incoming];
          for (const left of chunks.slice(index)) this.#incomingBytes += left.byteLength;
          break;
        }
        receiver.receive(chunk);
      }
    }
    if (this.#closed) return;
    if (this.#peerWaits && this.#incomingBytes === 0) {
      this.#peerWaits = false;
      const peer = this.#peer;
      if (peer !== undefined && !peer.#closed) peer.#receiver?.drained();
    }
    if (this.#ended && this.#incoming.length === 0) {
      this.#closed = true;
      receiver.closed();
    }
  }
}

/**
 * Two ends of a stream inside one process. Delivery is asynchronous, in microtasks and in order, so a run is
 * deterministic; no timer or handle keeps the process alive.
 */
export function inProcessPair(): readonly [ByteDuplex, ByteDuplex] {
  const left = new InProcessEnd();
  const right = new InProcessEnd();
  left.join(right);
  right.join(left);
  return [left, right];
}
