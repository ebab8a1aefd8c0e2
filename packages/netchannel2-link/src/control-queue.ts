import { messageSize, NO_SPACE, type UringProducer } from '@netchannel2/netchannel2';
import type { SendGate } from './send-gate';

/** Bypass messages that may wait for room (spec vif2.md §2.4). */
const CAPACITY = 8;

/**
 * Bypass messages on their way to the peer, in order. Answers may use the reserve, commands may not; what finds no room waits
 * here and goes out before any PACKET.
 */
export class ControlQueue {
  private readonly waiting: { readonly message: Int32Array; readonly keep: number }[] = [];

  /** @param gate closed while messages wait. */
  constructor(
    private readonly producer: UringProducer,
    private readonly gate: SendGate,
  ) {}

  get pending(): number {
    return this.waiting.length;
  }

  /**
   * @param message whole, its size in its header; belongs to the queue from now on.
   * @param keep bytes of the ring it must leave free.
   * @returns `false` when more wait already than a peer that takes its messages ever makes wait.
   */
  send(message: Int32Array, keep: number): boolean {
    if (this.waiting.length === 0 && this.write(message, keep)) return true;
    if (this.waiting.length === CAPACITY) return false;
    this.waiting.push({ message, keep });
    this.gate.close();
    return true;
  }

  /** Sends what waits, as much as fits. */
  drain(): void {
    for (let next = this.waiting[0]; next !== undefined; next = this.waiting[0]) {
      if (!this.write(next.message, next.keep)) return;
      this.waiting.shift();
    }
  }

  private write(message: Int32Array, keep: number): boolean {
    const size = messageSize(message[0] ?? 0);
    const at = this.producer.claim(size, keep);
    if (at === NO_SPACE) return false;
    this.producer.words.set(message.subarray(0, size >> 2), at);
    this.producer.commit(size);
    return true;
  }
}
