import {
  bindFrontends,
  type DeviceClass,
  type DeviceConfiguration,
  type DeviceEntry,
  type DeviceError,
  type FrontendBinding,
  type FrontendDevice,
  type Toolstack,
} from '@netchannel2/device-registry';
import type { SimulatedDomain } from '@netchannel2/hypervisor';
import type { FramePort } from '@netchannel2/xen';
import type { FrontendDrivers, Frontends } from './lab-drivers';

/** What a guest needs of the lab it lives in. */
export interface GuestHost {
  readonly toolstack: Toolstack;
  /** Waits for something that takes time, and lets that time pass when it is virtual. */
  during<Result>(work: Promise<Result>): Promise<Result>;
  destroyGuest(guest: LabGuest): Promise<void>;
}

/** A guest of a lab: a domain in which the drivers of both classes wait for devices. */
export class LabGuest {
  private readonly bindings: Readonly<Record<DeviceClass, FrontendBinding<FrontendDevice>>>;

  /** @internal `Lab.addGuest` makes guests. */
  constructor(
    private readonly lab: GuestHost,
    readonly domain: SimulatedDomain,
    drivers: FrontendDrivers,
  ) {
    this.bindings = {
      vif: bindFrontends(domain, drivers.vif),
      vif2: bindFrontends(domain, drivers.vif2),
    };
  }

  get id(): number {
    return this.domain.id;
  }

  get name(): string {
    return this.domain.name;
  }

  /**
   * Attaches a device on the lab's bridge and waits until both its ends are connected.
   *
   * @returns the guest's end.
   * @throws ToolstackError when an end gives up or does not answer.
   */
  async attach<Class extends DeviceClass>(
    deviceClass: Class,
    configuration: Omit<DeviceConfiguration, 'type'> = {},
  ): Promise<Frontends[Class]> {
    const known = new Set(this.bindings[deviceClass].devices);
    await this.attachDevice({ ...configuration, type: deviceClass });
    const added = this.bindings[deviceClass].devices.find((device) => !known.has(device));
    // With a driver of the test's own there may be no port: `attachDevice` is for those.
    if (added === undefined || !isPort(added))
      throw new Error(`${this.name} has no ${deviceClass} port after it was attached`);
    return added as unknown as Frontends[Class];
  }

  /** Attaches a device whose frontend need not be a port. @throws ToolstackError as {@link attach}. */
  attachDevice(configuration: DeviceConfiguration): Promise<DeviceEntry> {
    return this.lab.during(this.lab.toolstack.attach(this.domain.id, configuration));
  }

  /** Takes a device away, the orderly way. */
  detach(deviceClass: DeviceClass, number = 0): Promise<void> {
    return this.lab.during(this.lab.toolstack.detach(this.domain.id, deviceClass, number));
  }

  /** Why its devices of a class were given up by the frontend, newest last. */
  errors(deviceClass: DeviceClass): (DeviceError | undefined)[] {
    return this.bindings[deviceClass].connections.map((connection) => connection.error);
  }

  /** Destroys the domain as `xl destroy` does: its drivers are not asked. The lab takes its devices' nodes away. */
  destroy(): Promise<void> {
    return this.lab.destroyGuest(this);
  }

  /** @internal */
  async close(): Promise<void> {
    await Promise.all([this.bindings.vif.close(), this.bindings.vif2.close()]);
  }
}

const isPort = (device: object): device is FramePort => 'frames$' in device && 'send' in device;
