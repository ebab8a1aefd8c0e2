import type { MessagePort } from 'node:worker_threads';
import type { ByteDuplex, ByteReceiver } from '@netchannel2/xenstore';

type PortMessage = Uint8Array | 'close';

/** One end of a byte stream between two threads. While it is open it keeps its thread alive. */
export class MessagePortDuplex implements ByteDuplex {
  #receiver: ByteReceiver | undefined;
  #paused: Uint8Array[] | undefined;
  #closed = false;

  constructor(private readonly port: MessagePort) {}

  open(receiver: ByteReceiver): void {
    this.#receiver = receiver;
    this.port.on('message', (message: PortMessage) => this.#message(message));
    this.port.on('close', () => this.#ended());
  }

  send(chunk: Uint8Array): boolean {
    if (!this.#closed) this.port.postMessage(chunk);
    return true;
  }

  pause(): void {
    this.#paused ??= [];
  }

  resume(): void {
    const held = this.#paused;
    this.#paused = undefined;
    for (const chunk of held ?? []) {
      if (this.#paused === undefined) this.#receiver?.receive(chunk);
      else (this.#paused as Uint8Array[]).push(chunk);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.port.postMessage('close');
    this.port.close();
  }

  #message(message: PortMessage): void {
    if (this.#closed) return;
    if (message === 'close') this.#ended();
    else if (this.#paused !== undefined) this.#paused.push(message);
    else this.#receiver?.receive(message);
  }

  #ended(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.port.close();
    this.#receiver?.closed();
  }
}
