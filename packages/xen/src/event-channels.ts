/**
 * Event channels: one-bit notifications between domains (spec `event-channels.md`).
 *
 * @packageDocumentation
 */
import type { Errno } from './errno';
import type { DomainId, EventChannelPort } from './ids';

export interface EventChannels {
  /** A fresh port that `remote` may bind (`EVTCHNOP_alloc_unbound`). */
  allocateUnbound(remote: DomainId): EventChannelPort | Errno;
  /**
   * Binds to a port `remote` allocated for this domain (`EVTCHNOP_bind_interdomain`). The new local port starts
   * pending, so its handler runs once without a notification.
   */
  bindInterdomain(remote: DomainId, remotePort: EventChannelPort): EventChannelPort | Errno;
  /** Frees a port of this domain and forgets its handler. The peer's end becomes unbound and gets no event. */
  close(port: EventChannelPort): void;
  /** Sends an event to the other end. Lost without an error while the other end is unbound. */
  notify(port: EventChannelPort): void;
  /**
   * Calls `handler` for each event, after the pending bit was cleared, in this domain's own context; several
   * notifications may become one call. Unmasks the port. One handler a port.
   *
   * @returns a function that stops listening and masks the port again.
   */
  listen(port: EventChannelPort, handler: () => void): () => void;
}
