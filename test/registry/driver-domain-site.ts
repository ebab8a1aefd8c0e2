/** A lab whose backends live in a driver domain: two guests on its bridge, a third on dom0's own. */
import { Bridge } from '@netchannel2/bridge';
import {
  type BackendBinding,
  type BackendDevice,
  bindBackends,
  type DeviceClass,
  type DeviceEntry,
} from '@netchannel2/device-registry';
import type { SimulatedDomain } from '@netchannel2/hypervisor';
import {
  backendDrivers,
  frameNumber,
  frameSequence,
  Lab,
  type LabGuest,
  VirtualClock,
} from '@netchannel2/testing';
import type { Domain, FramePort, XenStore } from '@netchannel2/xen';
import { XenStoreClient } from '@netchannel2/xenstore';

/** Longer than any one time-out of the handshake, in milliseconds. */
const LONG = 15_000;
/** Time for a burst of frames to arrive. */
const BURST = 20;

export const macOf = (last: number): string => `02:00:00:00:00:0${last}`;
const bytesOf = (last: number): Uint8Array => Uint8Array.of(2, 0, 0, 0, 0, last);

/** A domain seen over another xenstore connection: that of one process of it. */
const overStore = (domain: SimulatedDomain, store: XenStore): Domain =>
  new Proxy<Domain>(domain, {
    get(target, name) {
      if (name === 'store') return store;
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });

/** A domain with a bridge of its own and one process that serves backends of a class. */
export class DriverDomain {
  readonly domain: SimulatedDomain;
  readonly bridge: Bridge;
  private store: XenStoreClient | undefined;
  private binding: BackendBinding<BackendDevice> | undefined;

  constructor(
    private readonly lab: Lab,
    private readonly deviceClass: DeviceClass,
    scheduler: VirtualClock,
  ) {
    this.domain = lab.machine.createDomain({ name: 'driver', memoryPages: 4096 });
    this.bridge = new Bridge({ name: 'xenbr1', scheduler });
  }

  /** The backends there are. */
  get backends(): readonly BackendDevice[] {
    return this.binding?.devices ?? [];
  }

  /** Starts the process. */
  async serve(): Promise<void> {
    const { lab, domain } = this;
    await lab.during(domain.store.read('name'));
    const store = lab.machine.store.connect(domain.id, false);
    if (!(store instanceof XenStoreClient)) throw new Error('the lab has a xenstore of another kind');
    this.store = store;
    const driver = backendDrivers({ netback2: { poolPages: 128 } })[this.deviceClass];
    this.binding = bindBackends(overStore(domain, store), driver);
    this.binding.devices$.subscribe((device) => this.bridge.add(device as BackendDevice & FramePort));
  }

  /**
   * Kills the process: first nobody hears of it through xenstore any more, then the kernel takes its mappings and ports
   * away. States stay as they are, and nothing is said on the rings.
   */
  async kill(): Promise<void> {
    this.store?.close();
    for (const device of this.backends) device.removed();
    await this.binding?.close();
    this.binding = undefined;
  }

  /** Destroys the domain as `xl destroy` does: nothing in it is asked. */
  destroy(): void {
    this.lab.machine.destroyDomain(this.domain.id);
    this.bridge.close();
  }

  /** Stops the process in an orderly way. */
  async close(): Promise<void> {
    await this.binding?.close();
    this.store?.close();
    this.bridge.close();
  }
}

/** A guest, its device, and the numbers of the frames that arrived there. */
export interface Station {
  readonly guest: LabGuest;
  readonly port: FramePort;
  readonly arrived: number[];
  readonly last: number;
  sent: number;
}

export class DriverDomainSite {
  readonly stations: Station[] = [];

  private constructor(
    readonly deviceClass: DeviceClass,
    readonly lab: Lab,
    readonly clock: VirtualClock,
  ) {}

  static async build(deviceClass: DeviceClass): Promise<DriverDomainSite> {
    const clock = new VirtualClock();
    const drivers = { netfront2: { poolPages: 128 }, netback2: { poolPages: 128 } };
    const lab = await Lab.start({ clock, machine: { memoryBytes: 192 << 20 }, drivers });
    return new DriverDomainSite(deviceClass, lab, clock);
  }

  async driverDomain(): Promise<DriverDomain> {
    const driver = new DriverDomain(this.lab, this.deviceClass, this.clock);
    await driver.serve();
    return driver;
  }

  /** A guest with a device whose backend lives in `domain`. */
  async station(domain: SimulatedDomain): Promise<Station> {
    const last = this.stations.length + 1;
    const guest = await this.lab.addGuest({ memoryPages: 2048 });
    const station = { guest, port: await this.plug(guest, last, domain), arrived: [], last, sent: 0 };
    this.listen(station);
    this.stations.push(station);
    return station;
  }

  /** The same guest and address, the device anew. */
  async replug(station: Station, domain: SimulatedDomain): Promise<Station> {
    const again = { ...station, port: await this.plug(station.guest, station.last, domain) };
    this.listen(again);
    this.stations[this.stations.indexOf(station)] = again;
    return again;
  }

  /** Sends frames without waiting for them. @returns how many were taken. */
  send(from: Station, to: Station, count: number): number {
    const addresses = { destination: bytesOf(to.last), source: bytesOf(from.last) };
    const frames = frameSequence(from.last, {
      ...addresses,
      count: from.sent + count,
      sizes: { low: 60, high: 1514 },
    });
    let taken = 0;
    for (const frame of frames) {
      if ((frameNumber(frame) ?? 0) < from.sent) continue;
      if (from.port.send(frame)) taken += 1;
    }
    from.port.flush?.();
    from.sent += count;
    return taken;
  }

  /** Sends a burst each way; answers how many frames of each arrived, once they have. */
  async exchange(one: Station, other: Station, count = 20): Promise<readonly [number, number]> {
    const before = [one.arrived.length, other.arrived.length] as const;
    this.send(one, other, count);
    this.send(other, one, count);
    await this.clock.advance(BURST);
    return [one.arrived.length - before[0], other.arrived.length - before[1]];
  }

  /** Lets handshakes and time-outs pass. */
  settle(): Promise<void> {
    return this.clock.advance(LONG);
  }

  async entryOf(station: Station): Promise<DeviceEntry | undefined> {
    const devices = await this.lab.during(this.lab.toolstack.list());
    return devices.find((device) => device.domid === station.guest.id);
  }

  private async plug(guest: LabGuest, last: number, { id }: SimulatedDomain): Promise<FramePort> {
    return guest.attach(this.deviceClass, { mac: macOf(last), backend: id });
  }

  private listen({ port, arrived }: Station): void {
    port.frames$.subscribe((frame) => arrived.push(frameNumber(frame.toBytes()) ?? -1));
  }
}
