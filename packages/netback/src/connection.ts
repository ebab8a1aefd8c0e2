import type { DeviceLink } from '@netchannel2/device-registry';
import {
  type ControlNodes,
  type FrontendFeatures,
  flowHash,
  type QueueNodes,
  type RateLimit,
} from '@netchannel2/netif';
import type { Frame, GrantedFrame } from '@netchannel2/xen';
import { Control } from './control';
import type { CopyBatches } from './copy-batches';
import type { GuestReceive } from './guest-receive';
import { MulticastFilter } from './multicast-filter';
import type { NetbackSettings } from './options';
import { Queue, type QueueOwner } from './queue';
import { ReceiveHash } from './receive-hash';

/** What the frontend published, read once and validated. */
export interface FrontendOffer {
  readonly features: FrontendFeatures;
  readonly queues: readonly QueueNodes[];
  readonly control: ControlNodes | undefined;
}

/** All queues of one connection with a frontend: made by `connect`, let go by `disconnect`. */
export class Connection {
  private readonly queues: Queue[] = [];
  private readonly hash = new ReceiveHash();
  private control: Control | undefined;
  /** The one queue of most connections. */
  private only: GuestReceive | undefined;

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
      if (this.queues.length === 1) this.only = this.queues[0]?.receive;
      if (offer.control !== undefined && settings.features.controlRing) {
        const staging = this.queues.map((queue) => queue.staging);
        const broken = (reason: string) => owner.broken(reason);
        this.control = new Control(link, batches, offer.control, this.hash, staging, broken);
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** The pass over all rings that needs no event: what the frontend notified before the ports were bound was lost. */
  start(): void {
    this.control?.start();
    for (const queue of this.queues) queue.start();
  }

  /** Sends on the queue of the frame's flow. */
  send(frame: Frame | Uint8Array): boolean {
    if (this.only !== undefined && !this.hash.isOn) return this.only.send(frame);
    if (frame instanceof Uint8Array) return this.choose(frame, 0, frame.byteLength)?.send(frame) ?? false;
    if (frame.fragmentCount === 0) return this.queues[0]?.receive.send(frame) ?? false;
    // Flow headers lie in the first piece of a frame; what lies elsewhere does not count.
    const page = frame.fragmentPage(0);
    const start = page.base + frame.fragmentOffset(0);
    return this.choose(page.bytes, start, start + frame.fragmentLength(0))?.send(frame) ?? false;
  }

  /** Whether the guest takes such a packet as it is; all its queues take the same. */
  acceptsGranted(frame: GrantedFrame): boolean {
    return this.queues[0]?.receive.guest.takesGranted(frame) ?? false;
  }

  /** Hands on a packet that lies in another guest's grants. */
  sendGranted(frame: GrantedFrame): boolean {
    if (this.queues.length === 1 && !this.hash.isOn)
      return this.queues[0]?.receive.sendGranted(frame) ?? false;
    const { area, offset, byteLength } = frame.head;
    const start = area.base + offset;
    return this.choose(area.bytes, start, start + byteLength)?.sendGranted(frame) ?? false;
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
    this.control?.close();
    this.control = undefined;
    for (const queue of this.queues.splice(0)) queue.close();
  }

  /** The queue for the packet whose headers these are: by the hash the guest asked for, or by one of ours. */
  private choose(bytes: Uint8Array, start: number, end: number) {
    const { hash, queues } = this;
    if (!hash.isOn || !hash.compute(bytes, start, end)) {
      const receive = queues[queues.length === 1 ? 0 : flowHash(bytes, start, end) % queues.length]?.receive;
      if (receive !== undefined) receive.hashFirst = 0;
      return receive;
    }
    const receive = queues[hash.queue(queues.length)]?.receive;
    if (receive !== undefined) {
      receive.hashFirst = hash.extraFirst;
      receive.hashSecond = hash.value;
    }
    return receive;
  }
}
