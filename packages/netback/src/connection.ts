import type { DeviceLink } from '@netchannel2/device-registry';
import { type FrontendFeatures, flowHash, type QueueNodes, type RateLimit } from '@netchannel2/netif';
import type { Frame } from '@netchannel2/xen';
import type { CopyBatches } from './copy-batches';
import { MulticastFilter } from './multicast-filter';
import type { NetbackSettings } from './options';
import { Queue, type QueueOwner } from './queue';

/** What the frontend published, read once and validated. */
export interface FrontendOffer {
  readonly features: FrontendFeatures;
  readonly queues: readonly QueueNodes[];
}

/** All queues of one connection with a frontend: made by `connect`, let go by `disconnect`. */
export class Connection {
  private readonly queues: Queue[] = [];

  /** @throws DeviceError when the frontend's nodes do not work out or a resource is short; nothing is held then. */
  constructor(
    link: DeviceLink,
    batches: CopyBatches,
    settings: NetbackSettings,
    offer: FrontendOffer,
    owner: QueueOwner,
  ) {
    const multicast = new MulticastFilter();
    try {
      for (const nodes of offer.queues) {
        this.queues.push(new Queue(link, batches, settings, offer.features, nodes, multicast, owner));
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** The pass over all rings that needs no event: what the frontend notified before the ports were bound was lost. */
  start(): void {
    for (const queue of this.queues) queue.start();
  }

  /** Sends on the queue of the frame's flow. */
  send(frame: Frame | Uint8Array): boolean {
    const index = this.queues.length === 1 ? 0 : queueOf(frame, this.queues.length);
    return this.queues[index]?.receive.send(frame) ?? false;
  }

  flush(): void {
    for (const queue of this.queues) queue.receive.flush();
  }

  /** Limits what the guest sends; each queue gets the full rate. */
  limit(rate: RateLimit | undefined): void {
    for (const queue of this.queues) queue.transmit.limit(rate);
  }

  filterMulticast(on: boolean): void {
    for (const queue of this.queues) queue.receive.filtersMulticast = on;
  }

  close(): void {
    for (const queue of this.queues.splice(0)) queue.close();
  }
}

/** Flow headers lie in the first piece of a frame; what lies elsewhere does not count. */
function queueOf(frame: Frame | Uint8Array, count: number): number {
  if (frame instanceof Uint8Array) return flowHash(frame, 0, frame.byteLength) % count;
  if (frame.fragmentCount === 0) return 0;
  const page = frame.fragmentPage(0);
  const start = page.base + frame.fragmentOffset(0);
  return flowHash(page.bytes, start, start + frame.fragmentLength(0)) % count;
}
