import { DeviceError, type DeviceLink } from '@netchannel2/device-registry';
import { FramePool, type HotStream } from '@netchannel2/frames';
import {
  BackRing,
  type FrontendFeatures,
  type QueueNodes,
  RING_BROKEN,
  RX_RING,
  TX_RING,
} from '@netchannel2/netif';
import {
  type EventChannelPort,
  eventChannelPort,
  type Frame,
  type GrantCopyBatch,
  grantRef,
  grantStatusName,
  type MappedPages,
} from '@netchannel2/xen';
import type { CopyBatches } from './copy-batches';
import type { DiversionTarget } from './diversion';
import type { NetbackCounters } from './frame-drops';
import { GuestReceive } from './guest-receive';
import { GuestTransmit } from './guest-transmit';
import type { MulticastFilter } from './multicast-filter';
import type { NetbackSettings } from './options';
import { PostedBuffers } from './posted-buffers';
import { StagingBuffers } from './staging-buffers';

/** What a queue reports to; it outlives the connection. */
export interface QueueOwner {
  readonly counters: NetbackCounters;
  readonly frames$: HotStream<Frame>;
  readonly writable$: HotStream<void>;
  readonly diversion: DiversionTarget;
  /** A queue's guest stopped posting buffers, or posts them again. */
  carrierChanged(on: boolean): void;
  broken(reason: string): void;
}

/** One queue of a vif: mappings, ports and pages. */
export class Queue {
  readonly receive: GuestReceive;
  readonly transmit: GuestTransmit;
  readonly staging: StagingBuffers;
  private readonly releases: (() => void)[] = [];

  /** @throws DeviceError when the frontend's nodes do not work out or a resource is short; nothing is held then. */
  constructor(
    private readonly link: DeviceLink,
    private readonly batches: CopyBatches,
    settings: NetbackSettings,
    features: FrontendFeatures,
    nodes: QueueNodes,
    multicast: MulticastFilter,
    owner: QueueOwner,
  ) {
    try {
      const { domain, peer } = link;
      const txPage = this.map(nodes.txRing, 'tx-ring-ref');
      const rxPage = this.map(nodes.rxRing, 'rx-ring-ref');
      const txRing = new BackRing(txPage.area.words, txPage.area.base >> 2, TX_RING);
      const rxRing = new BackRing(rxPage.area.words, rxPage.area.base >> 2, RX_RING);
      if (txRing.requests() === RING_BROKEN || rxRing.requests() === RING_BROKEN) {
        throw new DeviceError('EINVAL', 'ring indices are more than a ring apart');
      }
      const txPort = this.bind(nodes.txPort);
      const rxPort = nodes.rxPort === nodes.txPort ? txPort : this.bind(nodes.rxPort);
      this.staging = new StagingBuffers(domain.foreign, peer, settings.stagingPages);
      this.releases.push(() => this.staging.close());
      const broken = (reason: string) => owner.broken(reason);
      const receivePool = this.pool(settings.receivePages);
      const transmitPool = this.pool(settings.transmitPages);
      this.transmit = new GuestTransmit(
        domain,
        peer,
        txRing,
        txPort,
        receivePool,
        this.copyBatch(),
        this.staging,
        multicast,
        owner.counters,
        owner.frames$,
        owner.diversion,
        broken,
      );
      this.releases.push(() => this.transmit.close());
      const buffers = new PostedBuffers(
        domain,
        peer,
        rxRing,
        rxPort,
        this.copyBatch(),
        this.staging,
        owner.counters,
        broken,
      );
      this.receive = new GuestReceive(
        domain,
        buffers,
        transmitPool,
        features,
        multicast,
        owner.counters,
        owner.writable$,
        (on) => owner.carrierChanged(on),
      );
      this.releases.push(() => this.receive.close());
      this.listen(txPort, rxPort);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** The pass over both rings that needs no event: what the frontend notified before the ports were bound was lost. */
  start(): void {
    this.receive.onEvent();
    this.transmit.onEvent();
  }

  /** Lets go of everything, in the reverse order of taking. Idempotent. */
  close(): void {
    for (const release of this.releases.splice(0).reverse()) release();
  }

  private map(ref: number, node: string): MappedPages {
    const pages = this.link.domain.foreign.map(this.link.peer, [grantRef(ref)], 'readwrite');
    if (typeof pages === 'number') {
      throw new DeviceError('EINVAL', `${node} ${ref} cannot be mapped: ${grantStatusName(pages)}`);
    }
    this.releases.push(() => pages.unmap());
    return pages;
  }

  private bind(remotePort: number): EventChannelPort {
    const { events } = this.link.domain;
    const port = events.bindInterdomain(this.link.peer, eventChannelPort(remotePort));
    if (typeof port === 'string') throw new DeviceError(port, `event channel ${remotePort} cannot be bound`);
    this.releases.push(() => events.close(port));
    return port;
  }

  private pool(pageCount: number): FramePool {
    const pool = FramePool.create(this.link.domain.memory, pageCount);
    if (pool === undefined) throw new DeviceError('ENOMEM', `no ${pageCount} adjacent pages for frames`);
    this.releases.push(() => pool.close());
    return pool;
  }

  private copyBatch(): GrantCopyBatch {
    const { domain } = this.link;
    const batch = this.batches.borrow(domain);
    this.releases.push(() => this.batches.giveBack(domain, batch));
    return batch;
  }

  private listen(txPort: EventChannelPort, rxPort: EventChannelPort): void {
    const { events } = this.link.domain;
    const { transmit, receive } = this;
    if (txPort === rxPort) {
      this.releases.push(
        events.listen(txPort, () => {
          receive.onEvent();
          transmit.onEvent();
        }),
      );
      return;
    }
    this.releases.push(events.listen(txPort, () => transmit.onEvent()));
    this.releases.push(events.listen(rxPort, () => receive.onEvent()));
  }
}
