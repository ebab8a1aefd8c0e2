import {
  type DomainId,
  type Errno,
  type EventChannelPort,
  type EventChannels,
  errnoName,
  eventChannelPort,
} from '@netchannel2/xen';
import { HostTurns, reportError } from './host-turns';
import type { EventChannelLibrary, ReadinessWatch } from './native/xen-libraries';

type Handler = () => void;

const EFBIG = -27;
/** Ports of one read; the kernel keeps the rest for the next turn of the event loop. */
const PORTS_PER_READ = 256;

/** What the kernel and we know of a port that has no handler to run right now. */
const PortState = {
  /** Enabled: the next event is read from the device. */
  open: 0,
  /** An event was read while nobody listened: the next listener gets it. Masked until then. */
  owed: 1,
  /** Masked by an event whose handler stopped listening; nothing came since. */
  masked: 2,
} as const;
type PortState = (typeof PortState)[keyof typeof PortState];

/**
 * Event channels of this process through libxenevtchn. The device's file descriptor is watched by the event loop itself, so
 * an idle domain costs no timer, no thread and no wake-up. A port is unmasked after its handler ran (spec
 * event-channels.md §9, XSA-332): a peer that sends in a loop makes one call a turn.
 */
export class HostEventChannels implements EventChannels {
  readonly turns: HostTurns;
  readonly #handlers: (Handler | undefined)[] = [];
  readonly #states: PortState[] = [];
  readonly #incoming = new Uint32Array(PORTS_PER_READ);
  readonly #drained = new Uint32Array(PORTS_PER_READ);
  /** Ports whose handlers ran in this pass, to be unmasked by one write. */
  readonly #handled = new Uint32Array(PORTS_PER_READ);
  #handledCount = 0;
  /** Ports with events that are not to be read from the device: owed ones, and what `close` found. */
  #due: number[] = [];
  readonly #watch: ReadinessWatch;
  #closed = false;

  constructor(private readonly library: EventChannelLibrary) {
    this.turns = new HostTurns(() => this.#runDue());
    const receive = () => this.#receive();
    this.#watch = library.whenReadable(() => this.turns.pass(receive));
  }

  allocateUnbound(remote: DomainId): EventChannelPort | Errno {
    return this.#opened(this.library.allocateUnbound(remote));
  }

  bindInterdomain(remote: DomainId, remotePort: EventChannelPort): EventChannelPort | Errno {
    return this.#opened(this.library.bindInterdomain(remote, remotePort));
  }

  close(port: EventChannelPort): void {
    this.#handlers[port] = undefined;
    if (this.#closed) return;
    this.library.unbind(port);
    // The device keeps the events of a port that has gone: they must not reach the next user of its number.
    this.#drain();
    this.#states[port] = PortState.open;
    this.#due = this.#due.filter((other) => other !== port);
    // Port 0 is never a channel's.
    this.#incoming.forEach((other, index) => {
      if (other === port) this.#incoming[index] = 0;
    });
  }

  notify(port: EventChannelPort): void {
    if (!this.#closed) this.library.notify(port);
  }

  listen(port: EventChannelPort, handler: Handler): () => void {
    if (this.#handlers[port] !== undefined) {
      throw new Error(`event channel ${port} has a listener already; stop that one first`);
    }
    this.#handlers[port] = handler;
    const state = this.#states[port];
    this.#states[port] = PortState.open;
    if (state === PortState.owed) {
      this.#due.push(port);
      this.turns.request();
    } else if (state === PortState.masked) {
      this.#unmaskLater(port);
      this.#unmaskAll();
    }
    return () => {
      if (this.#handlers[port] === handler) this.#handlers[port] = undefined;
    };
  }

  /** Ends all: the kernel closes every port of the handle. */
  shutdown(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.turns.close();
    this.#watch.close();
    this.#handlers.length = 0;
    this.library.close();
  }

  #opened(port: number): EventChannelPort | Errno {
    if (port < 0) return errnoName(port);
    while (this.#handlers.length <= port) {
      this.#handlers.push(undefined);
      this.#states.push(PortState.open);
    }
    this.#states[port] = PortState.open;
    return eventChannelPort(port);
  }

  /** One read; what is left keeps the descriptor readable. */
  #receive(): void {
    const count = this.library.receive(this.#incoming);
    if (count === EFBIG) {
      this.#recover();
      return;
    }
    for (let index = 0; index < count; index++) this.#dispatch(this.#incoming[index] as number);
    this.#unmaskAll();
  }

  #runDue(): void {
    // What handlers add comes in the next turn; what they close is taken off the list.
    for (let count = this.#due.length; count > 0; count--) {
      const port = this.#due.shift();
      if (port !== undefined) this.#dispatch(port);
    }
    this.#unmaskAll();
  }

  #dispatch(port: number): void {
    if (port === 0) return;
    const handler = this.#handlers[port];
    if (handler === undefined) {
      this.#states[port] = PortState.owed;
      return;
    }
    // Should the handler stop listening, the port stays masked until somebody listens again.
    this.#states[port] = PortState.masked;
    try {
      handler();
    } catch (error) {
      reportError(error);
    }
    if (this.#closed || this.#handlers[port] === undefined) return;
    this.#states[port] = PortState.open;
    this.#unmaskLater(port);
  }

  #unmaskLater(port: number): void {
    if (this.#handledCount === PORTS_PER_READ) this.#unmaskAll();
    this.#handled[this.#handledCount++] = port;
  }

  #unmaskAll(): void {
    const count = this.#handledCount;
    this.#handledCount = 0;
    if (count > 0 && !this.#closed) this.library.unmask(this.#handled, count);
  }

  /** Moves all events from the device to the list of what is due. */
  #drain(): void {
    for (;;) {
      const count = this.library.receive(this.#drained);
      if (count === EFBIG) this.#recover();
      if (count <= 0) break;
      for (let index = 0; index < count; index++) this.#due.push(this.#drained[index] as number);
    }
    if (this.#due.length > 0) this.turns.request();
  }

  /** Events were lost in the kernel's list; which ones is not known, so every listener looks, and every later one will. */
  #recover(): void {
    this.library.reset();
    for (let port = 1; port < this.#handlers.length; port++) {
      if (this.#handlers[port] === undefined) this.#states[port] = PortState.owed;
      else this.#due.push(port);
    }
    this.turns.request();
  }
}
