import { type BackendDevice, DeviceError, type DeviceLink } from '@netchannel2/device-registry';
import { HotStream } from '@netchannel2/frames';
import {
  CONTROL_NODES,
  FRONTEND_NODES,
  NUM_QUEUES_NODE,
  parseRate,
  parseSwitch,
  parseUnsigned,
  queueNodeNames,
  queuePrefix,
  readControlNodes,
  readFrontendFeatures,
  readQueueCount,
  readQueueNodes,
  writeBackendFeatures,
} from '@netchannel2/netif';
import type {
  ForwardingSource,
  ForwardingTarget,
  Frame,
  FrameForwarder,
  GrantedFrame,
} from '@netchannel2/xen';
import createDebug from 'debug';
import { BehaviorSubject, type Observable, Subscription } from 'rxjs';
import { showCarrier } from './carrier-node';
import { Connection, type FrontendOffer } from './connection';
import type { CopyBatches } from './copy-batches';
import type { DiversionTarget } from './diversion';
import { type NetbackCounters, netbackCounters } from './frame-drops';
import type { NetbackSettings } from './options';

const debug = createDebug('netchannel2:netback');

const DEFAULT_MTU = 1500;

/**
 * The backend's end of a vif. While no frontend is connected `send` answers `false`, and `writable$` emits when one is.
 */
export class Netback implements BackendDevice, ForwardingSource, ForwardingTarget {
  readonly name: string;
  readonly frames$ = new HotStream<Frame>();
  readonly writable$ = new HotStream<void>();
  readonly counters: NetbackCounters = netbackCounters();
  /**
   * Whether the guest takes frames: `false` while it is not connected, and while it has posted no buffers for so long
   * that what is sent to it is dropped.
   */
  readonly carrier$: Observable<boolean>;
  private readonly carrierNow = new BehaviorSubject(false);
  private readonly diversion: DiversionTarget = { forwarder: undefined };
  private stalledQueues = 0;
  private connection: Connection | undefined;
  private address: string | undefined;
  private transmissionUnit = DEFAULT_MTU;
  private watches = Subscription.EMPTY;
  /** The rate node as last read. */
  private rate: string | undefined;

  constructor(
    private readonly link: DeviceLink,
    private readonly settings: NetbackSettings,
    private readonly batches: CopyBatches,
  ) {
    this.name = `vif${link.peer}.${link.number}`;
    this.carrier$ = this.carrierNow.asObservable();
  }

  /** The guest's address as the toolstack wrote it, `xx:xx:xx:xx:xx:xx`; `undefined` before the first connection. */
  get mac(): string | undefined {
    return this.address;
  }

  /** Longest network packet the toolstack gives the interface, in bytes: for the bridge or stack behind this end. */
  get mtu(): number {
    return this.transmissionUnit;
  }

  send(frame: Frame | Uint8Array): boolean {
    if (this.connection !== undefined) return this.connection.send(frame);
    this.counters.sendRefused += 1;
    return false;
  }

  flush(): void {
    this.connection?.flush();
  }

  get carrier(): boolean {
    return this.carrierNow.value;
  }

  divert(forwarder: FrameForwarder | undefined): void {
    this.diversion.forwarder = forwarder;
  }

  acceptsGranted(frame: GrantedFrame): boolean {
    return this.connection?.acceptsGranted(frame) ?? false;
  }

  sendGranted(frame: GrantedFrame): boolean {
    if (this.connection !== undefined) return this.connection.sendGranted(frame);
    this.counters.sendRefused += 1;
    return false;
  }

  async features(): Promise<Readonly<Record<string, string>>> {
    return writeBackendFeatures(this.settings.features);
  }

  async connect(): Promise<void> {
    this.release();
    const offer = await this.readOffer();
    this.address = await this.link.readOwn('mac');
    this.transmissionUnit = parseUnsigned(await this.link.readOwn('mtu')) ?? DEFAULT_MTU;
    const rate = await this.link.readOwn('rate');
    const connection = new Connection(this.link, this.batches, this.settings, offer, {
      counters: this.counters,
      frames$: this.frames$,
      writable$: this.writable$,
      diversion: this.diversion,
      carrierChanged: (on) => this.queueStalled(on ? -1 : 1),
      broken: (reason) => this.broken(reason),
    });
    this.connection = connection;
    this.stalledQueues = 0;
    this.watches = this.watchLimits(connection);
    connection.limit(parseRate(rate));
    this.rate = rate;
    debug('%s connected: %o', this.name, offer);
    connection.start();
    this.showCarrier();
    this.writable$.emit();
  }

  async disconnect(): Promise<void> {
    this.release();
  }

  removed(): void {
    this.release();
    this.frames$.complete();
    this.writable$.complete();
    this.carrierNow.complete();
  }

  private async readOffer(): Promise<FrontendOffer> {
    const nodes = await this.link.readPeerAll([
      ...Object.values(FRONTEND_NODES),
      NUM_QUEUES_NODE,
      ...Object.values(CONTROL_NODES),
      ...queueNodeNames(''),
    ]);
    const asked = readFrontendFeatures(nodes);
    // What was not offered is not done, whoever asks for it.
    const multicastControl = asked.multicastControl && this.settings.features.multicastControl;
    const features = { ...asked, multicastControl };
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
    const control = readControlNodes(nodes);
    if (typeof control === 'string') throw new DeviceError('EINVAL', control);
    return { features, queues, control };
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
    this.carrierNow.next(false);
    debug('%s released', this.name);
  }

  private queueStalled(change: 1 | -1): void {
    this.stalledQueues += change;
    this.showCarrier();
  }

  /** As with Linux one stalled queue is enough to take the carrier away. */
  private showCarrier(): void {
    const on = this.connection !== undefined && this.stalledQueues === 0;
    if (on === this.carrierNow.value) return;
    debug('%s carrier %s', this.name, on ? 'on' : 'off');
    this.carrierNow.next(on);
    showCarrier(this.link, on).catch((error: unknown) => debug('%s: carrier node: %o', this.name, error));
  }
}
