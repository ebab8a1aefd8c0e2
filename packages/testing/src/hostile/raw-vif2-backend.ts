import {
  type BackendDevice,
  type BackendDriver,
  DeviceError,
  type DeviceLink,
} from '@netchannel2/device-registry';
import { BACKEND_VIEW } from '@netchannel2/netchannel2';
import { type EventChannelPort, eventChannelPort, grantRef, type MappedPages } from '@netchannel2/xen';
import { RawByteRing } from './raw-byte-ring';
import type { RawDriver } from './raw-vif-frontend';

const RING_NAMES = ['control-ring-ref', 'prod-ring-ref-0', 'cons-ring-ref-0', 'event-channel'] as const;

/** A vif2 backend, of rings of one page, that does the handshake and then nothing by itself. */
export class RawVif2Backend implements BackendDevice {
  port: EventChannelPort | undefined;
  private mapped: readonly MappedPages[] = [];
  private bytes: RawByteRing | undefined;

  constructor(readonly link: DeviceLink) {}

  async features(): Promise<Record<string, string>> {
    return { 'protocol-version': '1', 'max-ring-page-order': '0', 'feature-receiver-copy': '1' };
  }

  async connect(): Promise<void> {
    this.release();
    const { domain, peer } = this.link;
    const nodes = await this.link.readPeerAll([...RING_NAMES]);
    const [control, consume, produce] = RING_NAMES.slice(0, 3).map((name) => {
      const access = name === 'prod-ring-ref-0' ? 'readonly' : 'readwrite';
      const pages = domain.foreign.map(peer, [grantRef(Number(nodes.get(name)))], access);
      if (typeof pages === 'number') throw new DeviceError('EINVAL', `${name} cannot be mapped: ${pages}`);
      this.mapped = [...this.mapped, pages];
      return pages;
    });
    const port = domain.events.bindInterdomain(peer, eventChannelPort(Number(nodes.get('event-channel'))));
    if (typeof port === 'string') throw new DeviceError(port, 'event channel');
    this.port = port;
    if (control === undefined || produce === undefined || consume === undefined) return;
    this.bytes = new RawByteRing(control.area, produce.area, BACKEND_VIEW, consume.area);
  }

  async disconnect(): Promise<void> {
    this.release();
  }

  removed(): void {
    this.release();
  }

  get ring(): RawByteRing {
    if (this.bytes === undefined) throw new Error('the device is not connected: attach it and settle first');
    return this.bytes;
  }

  /** Writes messages one after the other, shows them to the frontend and notifies it. */
  transmit(...messages: readonly (readonly number[] | Int32Array)[]): void {
    for (const message of messages) this.ring.write(message);
    this.ring.publish();
    this.notify();
  }

  notify(): void {
    if (this.port !== undefined) this.link.domain.events.notify(this.port);
  }

  private release(): void {
    if (this.port !== undefined) this.link.domain.events.close(this.port);
    for (const pages of this.mapped) pages.unmap();
    this.mapped = [];
    this.port = undefined;
    this.bytes = undefined;
  }
}

export function rawVif2BackendDriver(): BackendDriver<RawVif2Backend> & RawDriver<RawVif2Backend> {
  const devices: RawVif2Backend[] = [];
  return {
    deviceClass: 'vif2',
    devices,
    create(link) {
      const device = new RawVif2Backend(link);
      devices.push(device);
      return device;
    },
  };
}
