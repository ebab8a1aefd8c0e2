import {
  DeviceError,
  type DeviceLink,
  type FrontendDevice,
  type FrontendDriver,
} from '@netchannel2/device-registry';
import { FRONTEND_VIEW, initialiseControlPage } from '@netchannel2/netchannel2';
import type { EventChannelPort, SharedPages } from '@netchannel2/xen';
import { RawByteRing } from './raw-byte-ring';
import type { RawDriver } from './raw-vif-frontend';

/** A vif2 frontend that does the handshake and then nothing by itself: a test writes its rings word by word. */
export class RawVif2Frontend implements FrontendDevice {
  port: EventChannelPort | undefined;
  /** Calls by the registry, in order. */
  readonly life: string[] = [];
  private shared: readonly SharedPages[] = [];
  private bytes: RawByteRing | undefined;

  constructor(
    readonly link: DeviceLink,
    private readonly change: (nodes: Record<string, string>) => Record<string, string>,
  ) {}

  async prepare(): Promise<Record<string, string>> {
    this.life.push('prepare');
    this.release();
    const { domain, peer } = this.link;
    const control = domain.grants.share(peer, 1, 'readwrite');
    const produce = domain.grants.share(peer, 1, 'readonly');
    const consume = domain.grants.share(peer, 1, 'readwrite');
    const port = domain.events.allocateUnbound(peer);
    if (control === undefined || produce === undefined || consume === undefined || typeof port === 'string') {
      throw new DeviceError('ENOMEM', 'no room for rings');
    }
    this.shared = [control, produce, consume];
    this.port = port;
    initialiseControlPage(control.area);
    this.bytes = new RawByteRing(control.area, produce.area, FRONTEND_VIEW, consume.area);
    return this.change({
      'protocol-version': '1',
      'ring-layout': 'prod-cons',
      'ring-page-order': '0',
      'control-ring-ref': String(control.refs[0]),
      'prod-ring-ref-0': String(produce.refs[0]),
      'cons-ring-ref-0': String(consume.refs[0]),
      'event-channel': String(port),
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

  get ring(): RawByteRing {
    if (this.bytes === undefined) throw new Error('the device is not prepared: attach it and settle first');
    return this.bytes;
  }

  /** A word of what the backend wrote, by the byte index the backend had when it wrote it. */
  receivedWord(index: number): number {
    const area = this.shared[2]?.area;
    if (area === undefined) throw new Error('the device is not prepared: attach it and settle first');
    return area.words[(area.base + (index & (area.byteLength - 1))) >> 2] ?? 0;
  }

  /** Writes messages one after the other, shows them to the backend and notifies it. */
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
    for (const pages of this.shared) pages.end();
    this.shared = [];
    this.port = undefined;
    this.bytes = undefined;
  }
}

/** @param change what to publish instead of the honest nodes. */
export function rawVif2FrontendDriver(
  change: (nodes: Record<string, string>) => Record<string, string> = (nodes) => nodes,
): FrontendDriver<RawVif2Frontend> & RawDriver<RawVif2Frontend> {
  const devices: RawVif2Frontend[] = [];
  return {
    deviceClass: 'vif2',
    devices,
    create(link) {
      const device = new RawVif2Frontend(link, change);
      devices.push(device);
      return device;
    },
  };
}
