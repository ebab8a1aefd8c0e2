import {
  type BackendDevice,
  type BackendDriver,
  DeviceError,
  type DeviceLink,
} from '@netchannel2/device-registry';
import { BACKEND_NODES, queueNodeNames, RX_RING, readQueueNodes, SLOTS, TX_RING } from '@netchannel2/netif';
import { type EventChannelPort, eventChannelPort, grantRef, type MappedPages } from '@netchannel2/xen';
import type { RawDriver } from './raw-vif-frontend';

/** A vif backend that does the handshake and then nothing by itself: a test writes its rings word by word. */
export class RawVifBackend implements BackendDevice {
  port: EventChannelPort | undefined;
  private tx: MappedPages | undefined;
  private rx: MappedPages | undefined;

  constructor(readonly link: DeviceLink) {}

  async features(): Promise<Record<string, string>> {
    return { [BACKEND_NODES.rxCopy]: '1', [BACKEND_NODES.scatterGather]: '1' };
  }

  async connect(): Promise<void> {
    this.release();
    const nodes = readQueueNodes(await this.link.readPeerAll(queueNodeNames('')));
    if (typeof nodes === 'string') throw new DeviceError('EINVAL', nodes);
    const { domain, peer } = this.link;
    const map = (ref: number) => {
      const pages = domain.foreign.map(peer, [grantRef(ref)], 'readwrite');
      if (typeof pages === 'number')
        throw new DeviceError('EINVAL', `ring ${ref} cannot be mapped: ${pages}`);
      return pages;
    };
    this.tx = map(nodes.txRing);
    this.rx = map(nodes.rxRing);
    const port = domain.events.bindInterdomain(peer, eventChannelPort(nodes.txPort));
    if (typeof port === 'string') throw new DeviceError(port, 'event channel');
    this.port = port;
  }

  async disconnect(): Promise<void> {
    this.release();
  }

  removed(): void {
    this.release();
  }

  /** Words of the memory the ring pages lie in. */
  get words(): Int32Array {
    return this.pageOf('tx').area.words;
  }

  /** Writes an index of a ring page, e.g. `RSP_PROD`, without a notification. */
  setIndex(ring: 'tx' | 'rx', index: number, value: number): void {
    const { area } = this.pageOf(ring);
    Atomics.store(area.words, (area.base >> 2) + index, value | 0);
  }

  index(ring: 'tx' | 'rx', index: number): number {
    const { area } = this.pageOf(ring);
    return Atomics.load(area.words, (area.base >> 2) + index);
  }

  /** Word index of a slot. */
  slot(ring: 'tx' | 'rx', index: number): number {
    const { slotWords, slotCount } = ring === 'tx' ? TX_RING : RX_RING;
    return (this.pageOf(ring).area.base >> 2) + SLOTS + (index & (slotCount - 1)) * slotWords;
  }

  notify(): void {
    if (this.port !== undefined) this.link.domain.events.notify(this.port);
  }

  private pageOf(ring: 'tx' | 'rx'): MappedPages {
    const page = ring === 'tx' ? this.tx : this.rx;
    if (page === undefined) throw new Error('the device is not connected: attach it and settle first');
    return page;
  }

  private release(): void {
    if (this.port !== undefined) this.link.domain.events.close(this.port);
    this.tx?.unmap();
    this.rx?.unmap();
    this.port = undefined;
    this.tx = undefined;
    this.rx = undefined;
  }
}

export function rawVifBackendDriver(): BackendDriver<RawVifBackend> & RawDriver<RawVifBackend> {
  const devices: RawVifBackend[] = [];
  return {
    deviceClass: 'vif',
    devices,
    create(link) {
      const device = new RawVifBackend(link);
      devices.push(device);
      return device;
    },
  };
}
