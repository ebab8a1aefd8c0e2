import { DeviceError, type DeviceLink } from '@netchannel2/device-registry';
import type { HotStream } from '@netchannel2/frames';
import {
  type BackendFeatures,
  FrontRing,
  initialiseRing,
  RING_NODES,
  RX_RING,
  TX_RING,
} from '@netchannel2/netif';
import { type EventChannelPort, type Frame, PAGE_SIZE, type SharedPages } from '@netchannel2/xen';
import type { NetfrontCounters } from './frame-drops';
import { GrantedTransmitBuffers } from './granted-transmit-buffers';
import type { NetfrontSettings } from './options';
import { ReceiveBuffers } from './receive-buffers';
import { ReceiveQueue } from './receive-queue';
import { SharedReceiveBuffers, SharedTransmitBuffers } from './shared-buffers';
import type { StagedRefs } from './staging';
import { TransmitQueue } from './transmit-queue';

/** What a queue reports to; it outlives the connection. */
export interface QueueOwner {
  readonly counters: NetfrontCounters;
  readonly frames$: HotStream<Frame>;
  readonly writable$: HotStream<void>;
  broken(reason: string): void;
}

const WORDS_PER_PAGE = PAGE_SIZE / 4;

/** One queue of a vif: a TX and an RX ring with their buffers and one or two event channels. */
export class Queue {
  readonly transmit: TransmitQueue;
  /** The queue's pages, where they are shared for good. */
  readonly staged: StagedRefs | undefined;
  private readonly receive: ReceiveQueue;
  private readonly releases: (() => void)[] = [];
  private readonly rings: SharedPages;
  private readonly txPort: EventChannelPort;
  private readonly rxPort: EventChannelPort;

  /** @throws DeviceError when a resource is short; nothing is held then. */
  constructor(
    private readonly link: DeviceLink,
    settings: NetfrontSettings,
    backend: BackendFeatures,
    trusted: boolean,
    owner: QueueOwner,
  ) {
    try {
      const { domain, peer } = link;
      const entries = domain.grants.entries;
      this.rings = this.shareRings();
      this.txPort = this.allocatePort();
      this.rxPort =
        settings.splitEventChannels && backend.splitEventChannels ? this.allocatePort() : this.txPort;
      const { area } = this.rings;
      const txWord = area.base >> 2;
      const rxWord = txWord + WORDS_PER_PAGE;
      initialiseRing(area.words, txWord);
      initialiseRing(area.words, rxWord);
      const broken = (reason: string) => owner.broken(reason);

      const isShared = entries === undefined || settings.staging;
      const transmitBuffers = isShared
        ? SharedTransmitBuffers.create(domain, peer, settings.transmitPages)
        : GrantedTransmitBuffers.create(
            domain,
            entries,
            peer,
            TX_RING.slotCount,
            settings.transmitPages,
            trusted,
          );
      this.transmit = new TransmitQueue(
        domain,
        new FrontRing(area.words, txWord, TX_RING),
        this.txPort,
        transmitBuffers,
        backend,
        owner.counters,
        owner.writable$,
        broken,
      );
      this.releases.push(() => this.transmit.close());

      const receivePages = settings.receiveBuffers + settings.retainedPages;
      const receiveBuffers = isShared
        ? SharedReceiveBuffers.create(domain, peer, RX_RING.slotCount, receivePages)
        : ReceiveBuffers.create(domain, entries, peer, RX_RING.slotCount, receivePages, trusted);
      this.receive = new ReceiveQueue(
        domain,
        new FrontRing(area.words, rxWord, RX_RING),
        this.rxPort,
        receiveBuffers,
        settings.receiveBuffers,
        owner.counters,
        owner.frames$,
        broken,
      );
      this.releases.push(() => this.receive.close());
      if (transmitBuffers instanceof SharedTransmitBuffers && receiveBuffers instanceof SharedReceiveBuffers)
        this.staged = { transmit: transmitBuffers.staged, receive: receiveBuffers.staged };
      this.listen();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Posts the first buffers. The notification is lost while the backend has not bound, which it makes up for. */
  start(): void {
    this.receive.fill();
  }

  /** Leaves the rings alone from here on. */
  halt(): void {
    this.transmit.halt();
    this.receive.halt();
  }

  /** The nodes that tell the backend where the rings are, each with `prefix` before its name. */
  nodes(prefix: string): Record<string, string> {
    const [txRef, rxRef] = this.rings.refs;
    const nodes: Record<string, string> = {
      [prefix + RING_NODES.txRing]: String(txRef),
      [prefix + RING_NODES.rxRing]: String(rxRef),
    };
    if (this.txPort === this.rxPort) nodes[prefix + RING_NODES.eventChannel] = String(this.txPort);
    else {
      nodes[prefix + RING_NODES.eventChannelTx] = String(this.txPort);
      nodes[prefix + RING_NODES.eventChannelRx] = String(this.rxPort);
    }
    return nodes;
  }

  /** Lets go of everything, in the reverse order of taking. Idempotent. */
  close(): void {
    for (const release of this.releases.splice(0).reverse()) release();
  }

  private shareRings(): SharedPages {
    const rings = this.link.domain.grants.share(this.link.peer, 2, 'readwrite');
    if (rings === undefined) throw new DeviceError('ENOMEM', 'no pages or grant references for the rings');
    this.releases.push(() => rings.end());
    return rings;
  }

  private allocatePort(): EventChannelPort {
    const { events } = this.link.domain;
    const port = events.allocateUnbound(this.link.peer);
    if (typeof port === 'string') throw new DeviceError(port, 'no event channel for the rings');
    this.releases.push(() => events.close(port));
    return port;
  }

  private listen(): void {
    const { events } = this.link.domain;
    const { transmit, receive } = this;
    if (this.txPort === this.rxPort) {
      this.releases.push(
        events.listen(this.txPort, () => {
          transmit.onEvent();
          receive.onEvent();
        }),
      );
      return;
    }
    this.releases.push(events.listen(this.txPort, () => transmit.onEvent()));
    this.releases.push(events.listen(this.rxPort, () => receive.onEvent()));
  }
}
