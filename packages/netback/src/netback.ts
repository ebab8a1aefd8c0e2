import { type BackendDevice, DeviceError, type DeviceLink } from '@netchannel2/device-registry';
import { HotStream } from '@netchannel2/frames';
import {
  FRONTEND_NODES,
  NUM_QUEUES_NODE,
  parseRate,
  parseSwitch,
  queueNodeNames,
  queuePrefix,
  readFrontendFeatures,
  readQueueCount,
  readQueueNodes,
  writeBackendFeatures,
} from '@netchannel2/netif';
import type { Frame, FramePort } from '@netchannel2/xen';
import createDebug from 'debug';
import { Subscription } from 'rxjs';
import { Connection, type FrontendOffer } from './connection';
import type { CopyBatches } from './copy-batches';
import { type NetbackCounters, netbackCounters } from './frame-drops';
import type { NetbackSettings } from './options';

const debug = createDebug('netchannel2:netback');

/**
 * The backend's end of a vif. While no frontend is connected `send` answers `false`, and `writable$` emits when one is.
 */
export class Netback implements BackendDevice, FramePort {
  readonly name: string;
  readonly frames$ = new HotStream<Frame>();
  readonly writable$ = new HotStream<void>();
  readonly counters: NetbackCounters = netbackCounters();
  private connection: Connection | undefined;
  private address: string | undefined;
  private watches = Subscription.EMPTY;
  /** The rate node as last read. */
  private rate: string | undefined;

  constructor(
    private readonly link: DeviceLink,
    private readonly settings: NetbackSettings,
    private readonly batches: CopyBatches,
  ) {
    this.name = `vif${link.peer}.${link.number}`;
  }

  /** The guest's address as the toolstack wrote it, `xx:xx:xx:xx:xx:xx`; `undefined` before the first connection. */
  get mac(): string | undefined {
    return this.address;
  }

  send(frame: Frame | Uint8Array): boolean {
    if (this.connection !== undefined) return this.connection.send(frame);
    this.counters.sendRefused += 1;
    return false;
  }

  flush(): void {
    this.connection?.flush();
  }

  async features(): Promise<Readonly<Record<string, string>>> {
    return writeBackendFeatures(this.settings.features);
  }

  async connect(): Promise<void> {
    this.release();
    const offer = await this.readOffer();
    this.address = await this.link.readOwn('mac');
    const rate = await this.link.readOwn('rate');
    const connection = new Connection(this.link, this.batches, this.settings, offer, {
      counters: this.counters,
      frames$: this.frames$,
      writable$: this.writable$,
      broken: (reason) => this.broken(reason),
    });
    this.connection = connection;
    this.watches = this.watchLimits(connection);
    connection.limit(parseRate(rate));
    this.rate = rate;
    debug('%s connected: %o', this.name, offer);
    connection.start();
    this.writable$.emit();
  }

  async disconnect(): Promise<void> {
    this.release();
  }

  removed(): void {
    this.release();
    this.frames$.complete();
    this.writable$.complete();
  }

  private async readOffer(): Promise<FrontendOffer> {
    const nodes = await this.link.readPeerAll([
      ...Object.values(FRONTEND_NODES),
      NUM_QUEUES_NODE,
      ...queueNodeNames(''),
    ]);
    const features = readFrontendFeatures(nodes);
    if (!features.rxCopy) {
      throw new DeviceError(
        'EOPNOTSUPP',
        'frontend does not ask for request-rx-copy, the only receive path there is',
      );
    }
    const queueCount = readQueueCount(nodes, this.settings.features.maxQueues);
    if (typeof queueCount === 'string') throw new DeviceError('EINVAL', queueCount);
    const prefixes = Array.from({ length: queueCount }, (_, index) => queuePrefix(index, queueCount));
    const queueNodes =
      queueCount === 1 ? nodes : await this.link.readPeerAll(prefixes.flatMap(queueNodeNames));
    const queues = prefixes.map((prefix) => {
      const queue = readQueueNodes(queueNodes, prefix);
      if (typeof queue === 'string') throw new DeviceError('EINVAL', queue);
      return queue;
    });
    return { features, queues };
  }

  /** The nodes that are honoured while connected: the toolstack's rate, the guest's wish for a multicast filter. */
  private watchLimits(connection: Connection): Subscription {
    const { domain, ownPath, peerPath } = this.link;
    const watches = new Subscription();
    const follow = (path: string, read: () => Promise<void>) =>
      watches.add(
        domain.store.watch(path).subscribe({
          next: () => void read().catch((error: unknown) => debug('%s: %s: %o', this.name, path, error)),
          error: (error: unknown) => debug('%s: watch of %s ended: %o', this.name, path, error),
        }),
      );
    follow(`${ownPath}/rate`, () => this.readRate(connection));
    if (this.settings.features.dynamicMulticastControl) {
      follow(`${peerPath}/${FRONTEND_NODES.multicastControl}`, async () => {
        const wanted = await this.link.readPeer(FRONTEND_NODES.multicastControl);
        connection.filterMulticast(parseSwitch(wanted));
      });
    }
    return watches;
  }

  private async readRate(connection: Connection): Promise<void> {
    const text = await this.link.readOwn('rate');
    if (connection !== this.connection || text === this.rate) return;
    this.rate = text;
    connection.limit(parseRate(text));
  }

  /** The frontend broke the protocol: its rings are let go of at once, and the device is closed. */
  private broken(reason: string): void {
    debug('%s broken: %s', this.name, reason);
    this.release();
    this.link.fail(new DeviceError('EPROTO', reason));
  }

  private release(): void {
    const connection = this.connection;
    if (connection === undefined) return;
    this.connection = undefined;
    this.rate = undefined;
    this.watches.unsubscribe();
    connection.close();
    debug('%s released', this.name);
  }
}
