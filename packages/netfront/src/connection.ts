import type { DeviceLink } from '@netchannel2/device-registry';
import {
  type BackendFeatures,
  type ExtraType,
  flowHash,
  NUM_QUEUES_NODE,
  queuePrefix,
  writeFrontendFeatures,
} from '@netchannel2/netif';
import type { Frame } from '@netchannel2/xen';
import { ControlChannel } from './control-channel';
import type { NetfrontSettings } from './options';
import { Queue, type QueueOwner } from './queue';
import { configureReceiveHash } from './receive-hash';
import { mapStagedPages } from './staging';
import type { TransmitQueue } from './transmit-queue';

/** All queues of one connection with the backend: made by `prepare`, let go by `disconnect`. */
export class Connection {
  private readonly queues: Queue[] = [];
  /** The one queue of most connections. */
  private readonly only: TransmitQueue | undefined;
  /** Only where the backend offers one and there is something to say. */
  control: ControlChannel | undefined;

  /** @throws DeviceError when a resource is short; nothing is held then. */
  constructor(
    link: DeviceLink,
    private readonly settings: NetfrontSettings,
    private readonly backend: BackendFeatures,
    trusted: boolean,
    owner: QueueOwner,
  ) {
    const count = Math.max(1, Math.min(settings.queues, backend.maxQueues));
    try {
      while (this.queues.length < count) this.queues.push(new Queue(link, settings, backend, trusted, owner));
      if (count === 1) this.only = this.queues[0]?.transmit;
      const isWanted = settings.staging || settings.receiveHash !== undefined;
      if (isWanted && backend.controlRing)
        this.control = new ControlChannel(link, (reason) => owner.broken(reason));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Posts the first buffers. The notification is lost while the backend has not bound, which it makes up for. */
  start(): void {
    for (const queue of this.queues) queue.start();
  }

  /** Sends on the queue of the frame's flow. */
  send(frame: Frame | Uint8Array): boolean {
    if (this.only !== undefined) return this.only.send(frame);
    return this.queues[queueOf(frame, this.queues.length)]?.transmit.send(frame) ?? false;
  }

  flush(): void {
    for (const queue of this.queues) queue.transmit.flush();
  }

  /** Whether the backend has a list of multicast addresses to edit, and whether it may be put to use at any time. */
  get multicastControl(): Pick<BackendFeatures, 'multicastControl' | 'dynamicMulticastControl'> {
    return this.backend;
  }

  /** Edits that list; answers whether the backend did. The list is the device's, so any queue will do. */
  editMulticast(
    type: typeof ExtraType.multicastAdd | typeof ExtraType.multicastDelete,
    mac: number,
  ): Promise<boolean> {
    return new Promise((resolve) => {
      if (this.queues[0]?.transmit.editMulticast(type, mac, resolve) !== true) resolve(false);
    });
  }

  /** Tells the backend on the control ring how frames are to be spread and which pages to map. */
  async configure(): Promise<void> {
    const { control } = this;
    if (control === undefined) return;
    const { receiveHash } = this.settings;
    if (receiveHash !== undefined) await configureReceiveHash(control, receiveHash);
    for (const [index, { staged }] of this.queues.entries()) {
      if (staged !== undefined && this.settings.staging) await mapStagedPages(control, index, staged);
    }
  }

  /** Nothing more is sent. */
  stop(): void {
    for (const queue of this.queues) queue.transmit.stop();
  }

  /** Leaves the rings alone from here on. */
  halt(): void {
    this.control?.halt();
    for (const queue of this.queues) queue.halt();
  }

  /** What to publish in the frontend's directory. */
  nodes(): Record<string, string> {
    const nodes = writeFrontendFeatures(this.settings.features);
    this.queues.forEach((queue, index) => {
      Object.assign(nodes, queue.nodes(queuePrefix(index, this.queues.length)));
    });
    if (this.backend.maxQueues > 0) nodes[NUM_QUEUES_NODE] = String(this.queues.length);
    if (this.control !== undefined) Object.assign(nodes, this.control.nodes());
    return nodes;
  }

  close(): void {
    this.control?.close();
    this.control = undefined;
    for (const queue of this.queues.splice(0)) queue.close();
  }
}

/** Flow headers lie in the first piece of a frame; what lies elsewhere does not count, for either end the same way. */
function queueOf(frame: Frame | Uint8Array, count: number): number {
  if (frame instanceof Uint8Array) return flowHash(frame, 0, frame.byteLength) % count;
  if (frame.fragmentCount === 0) return 0;
  const page = frame.fragmentPage(0);
  const start = page.base + frame.fragmentOffset(0);
  return flowHash(page.bytes, start, start + frame.fragmentLength(0)) % count;
}
