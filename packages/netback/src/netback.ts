import { type BackendDevice, DeviceError, type DeviceLink } from '@netchannel2/device-registry';
import { HotStream } from '@netchannel2/frames';
import {
  FRONTEND_NODES,
  NUM_QUEUES_NODE,
  parseRate,
  queueNodeNames,
  readFrontendFeatures,
  readQueueCount,
  readQueueNodes,
  writeBackendFeatures,
} from '@netchannel2/netif';
import type { Frame, FramePort } from '@netchannel2/xen';
import createDebug from 'debug';
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
    if (this.connection !== undefined) return this.connection.receive.send(frame);
    this.counters.sendRefused += 1;
    return false;
  }

  flush(): void {
    this.connection?.receive.flush();
  }

  async features(): Promise<Readonly<Record<string, string>>> {
    return writeBackendFeatures(this.settings.features);
  }

  async connect(): Promise<void> {
    this.release();
    const offer = await this.readOffer();
    this.address = await this.link.readOwn('mac');
    const rate = parseRate(await this.link.readOwn('rate'));
    const connection = new Connection(this.link, this.batches, this.settings, offer, rate, {
      counters: this.counters,
      frames$: this.frames$,
      writable$: this.writable$,
      broken: (reason) => this.broken(reason),
    });
    this.connection = connection;
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
      ...queueNodeNames(''),
      NUM_QUEUES_NODE,
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
    const queue = readQueueNodes(nodes);
    if (typeof queue === 'string') throw new DeviceError('EINVAL', queue);
    return { features, queue };
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
    connection.close();
    debug('%s released', this.name);
  }
}
