/**
 * Reassembles messages from a byte stream that may be cut anywhere.
 *
 * @packageDocumentation
 */
import { HEADER_SIZE, type Message, PAYLOAD_MAX } from './wire';

const EMPTY = Buffer.alloc(0);

/** What {@link MessageReader.next} answers when a header announces more than 4096 bytes of payload. */
export const OVERSIZED = 'oversized';

export class MessageReader {
  #buffer: Buffer = EMPTY;
  #start = 0;
  #end = 0;
  /** Whether `#buffer` is ours to append to; a chunk taken over whole is not. */
  #owned = false;

  /** Bytes received and not yet taken as messages. */
  get buffered(): number {
    return this.#end - this.#start;
  }

  /** Takes a chunk. The chunk is kept by reference: its bytes must not change afterwards. */
  push(chunk: Uint8Array): void {
    if (chunk.byteLength === 0) return;
    if (this.buffered === 0) {
      this.#buffer = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
      this.#start = 0;
      this.#end = chunk.byteLength;
      this.#owned = false;
      return;
    }
    const needed = this.buffered + chunk.byteLength;
    if (!this.#owned || this.#end + chunk.byteLength > this.#buffer.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(1024, needed * 2));
      this.#buffer.copy(grown, 0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
      this.#buffer = grown;
      this.#owned = true;
    }
    this.#buffer.set(chunk, this.#end);
    this.#end += chunk.byteLength;
  }

  /** Whether {@link next} would answer something. */
  get ready(): boolean {
    const buffered = this.buffered;
    if (buffered < HEADER_SIZE) return false;
    const length = this.#buffer.readUInt32LE(this.#start + 12);
    return length > PAYLOAD_MAX || buffered >= HEADER_SIZE + length;
  }

  /**
   * The next complete message, `undefined` while it is incomplete, or {@link OVERSIZED}, judged from the header alone;
   * the stream cannot be followed after that.
   */
  next(): Message | typeof OVERSIZED | undefined {
    const start = this.#start;
    const buffered = this.#end - start;
    if (buffered < HEADER_SIZE) return undefined;
    const buffer = this.#buffer;
    const length = buffer.readUInt32LE(start + 12);
    if (length > PAYLOAD_MAX) return OVERSIZED;
    const size = HEADER_SIZE + length;
    if (buffered < size) return undefined;
    const message = {
      type: buffer.readUInt32LE(start),
      requestId: buffer.readUInt32LE(start + 4),
      transactionId: buffer.readUInt32LE(start + 8),
      payload: buffer.toString('latin1', start + HEADER_SIZE, start + size),
    };
    this.#start = start + size;
    if (this.#start === this.#end) this.clear();
    return message;
  }

  /** Forgets everything received so far. */
  clear(): void {
    this.#buffer = EMPTY;
    this.#start = 0;
    this.#end = 0;
    this.#owned = false;
  }
}
