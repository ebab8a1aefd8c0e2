import {
  DeviceError,
  type DeviceLink,
  type FrontendDevice,
  type FrontendDriver,
} from '@netchannel2/device-registry';
import {
  initialiseRing,
  REQ_PROD,
  RING_NODES,
  RX_RING,
  SLOTS,
  TX_RING,
  writeTxRequest,
} from '@netchannel2/netif';
import { type EventChannelPort, PAGE_SIZE, type SharedPages } from '@netchannel2/xen';

/** A TX request as a test wants it written, sense or nonsense. */
export interface RawTxRequest {
  readonly gref: number;
  readonly offset?: number;
  readonly flags?: number;
  readonly id?: number;
  readonly size: number;
}

/**
 * A vif frontend that does the handshake and then nothing by itself: a test writes its rings word by word, as a hostile
 * guest can. It sees Xen through the ports only.
 */
export class RawVifFrontend implements FrontendDevice {
  rings: SharedPages | undefined;
  port: EventChannelPort | undefined;
  /** Calls by the registry, in order. */
  readonly life: string[] = [];
  private produced = 0;

  constructor(
    readonly link: DeviceLink,
    private readonly change: (nodes: Record<string, string>) => Record<string, string>,
  ) {}

  async prepare(): Promise<Record<string, string>> {
    this.life.push('prepare');
    this.release();
    const { domain, peer } = this.link;
    this.rings = domain.grants.share(peer, 2, 'readwrite');
    const port = domain.events.allocateUnbound(peer);
    if (this.rings === undefined || typeof port === 'string')
      throw new DeviceError('ENOMEM', 'no room for rings');
    this.port = port;
    initialiseRing(this.words, this.txWord);
    initialiseRing(this.words, this.rxWord);
    this.produced = 0;
    return this.change({
      'request-rx-copy': '1',
      'feature-rx-notify': '1',
      'feature-sg': '1',
      [RING_NODES.txRing]: String(this.rings.refs[0]),
      [RING_NODES.rxRing]: String(this.rings.refs[1]),
      [RING_NODES.eventChannel]: String(port),
    });
  }

  connected(): void {
    this.life.push('connected');
  }

  async disconnect(): Promise<void> {
    this.life.push('disconnect');
    this.release();
  }

  removed(): void {
    this.life.push('removed');
    this.release();
  }

  /** Words of the memory both ring pages lie in. */
  get words(): Int32Array {
    return this.area.words;
  }

  /** First word of the TX ring page. */
  get txWord(): number {
    return this.area.base >> 2;
  }

  /** First word of the RX ring page. */
  get rxWord(): number {
    return (this.area.base + PAGE_SIZE) >> 2;
  }

  /** Writes an index of a ring page, e.g. `REQ_PROD`, without a notification. */
  setIndex(ring: 'tx' | 'rx', index: number, value: number): void {
    Atomics.store(this.words, (ring === 'tx' ? this.txWord : this.rxWord) + index, value | 0);
  }

  index(ring: 'tx' | 'rx', index: number): number {
    return Atomics.load(this.words, (ring === 'tx' ? this.txWord : this.rxWord) + index);
  }

  /** Word index of a slot. */
  slot(ring: 'tx' | 'rx', index: number): number {
    const { slotWords, slotCount } = ring === 'tx' ? TX_RING : RX_RING;
    const first = ring === 'tx' ? this.txWord : this.rxWord;
    return first + SLOTS + (index & (slotCount - 1)) * slotWords;
  }

  /** Writes requests behind those written so far, publishes them, and notifies. */
  transmit(requests: readonly RawTxRequest[]): void {
    for (const request of requests) {
      const { gref, offset = 0, flags = 0, id = this.produced & 0xff, size } = request;
      writeTxRequest(this.words, this.slot('tx', this.produced), gref, offset, flags, id, size);
      this.produced = (this.produced + 1) | 0;
    }
    this.setIndex('tx', REQ_PROD, this.produced);
    this.notify();
  }

  notify(): void {
    if (this.port !== undefined) this.link.domain.events.notify(this.port);
  }

  private get area() {
    if (this.rings === undefined) throw new Error('the device is not prepared: attach it and settle first');
    return this.rings.area;
  }

  private release(): void {
    if (this.port !== undefined) this.link.domain.events.close(this.port);
    this.rings?.end();
    this.rings = undefined;
    this.port = undefined;
  }
}

/** A driver that keeps the devices it made, newest last. */
export interface RawDriver<Device> {
  readonly devices: readonly Device[];
}

/** @param change what to publish instead of the honest nodes. */
export function rawVifFrontendDriver(
  change: (nodes: Record<string, string>) => Record<string, string> = (nodes) => nodes,
): FrontendDriver<RawVifFrontend> & RawDriver<RawVifFrontend> {
  const devices: RawVifFrontend[] = [];
  return {
    deviceClass: 'vif',
    devices,
    create(link) {
      const device = new RawVifFrontend(link, change);
      devices.push(device);
      return device;
    },
  };
}
