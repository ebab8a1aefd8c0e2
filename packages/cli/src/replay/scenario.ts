import { Bridge, type FaultOptions, withFaults } from '@netchannel2/bridge';
import {
  type BackendDevice,
  type BackendDriver,
  bindBackends,
  bindFrontends,
  type DeviceClass,
  type FrontendDevice,
  type FrontendDriver,
  Toolstack,
} from '@netchannel2/device-registry';
import { type DomainOptions, Machine, type SimulatedDomain } from '@netchannel2/hypervisor';
import { netbackDriver } from '@netchannel2/netback';
import { netback2Driver } from '@netchannel2/netback2';
import { netfrontDriver } from '@netchannel2/netfront';
import { netfront2Driver } from '@netchannel2/netfront2';
import type { FramePort } from '@netchannel2/xen';
import type { ReplayEnd } from './replayer';

export type GrantTableVersion = 1 | 2;

export interface ScenarioOptions {
  readonly classes: readonly DeviceClass[];
  readonly dom0Version: GrantTableVersion;
  readonly guest1: GuestOptions;
  readonly guest2: GuestOptions;
  /** Between each backend and the bridge. */
  readonly faults?: FaultOptions | undefined;
}

export interface GuestOptions {
  readonly grantTableVersion: GrantTableVersion;
  /** Of its devices. */
  readonly mac: string;
  /** Frames with other source addresses are expected, so the backend must not filter. */
  readonly severalMacs: boolean;
}

const BRIDGE = 'xenbr0';
const MACHINE_BYTES = 128 * 1024 * 1024;
const DOM0_PAGES = 8192;
const GUEST_PAGES = 4096;

type FrontendPort = FrontendDevice & FramePort;
type BackendPort = BackendDevice & FramePort;

/** 64 KiB a ring hold as many frames as the 256 slots of a vif's. */
const RING_PAGE_ORDER = 4;

const FRONTENDS: Readonly<Record<DeviceClass, () => FrontendDriver<FrontendPort>>> = {
  vif: () => netfrontDriver(),
  vif2: () => netfront2Driver({ ringPageOrder: RING_PAGE_ORDER }),
};
const BACKENDS: Readonly<Record<DeviceClass, () => BackendDriver<BackendPort>>> = {
  vif: () => netbackDriver(),
  vif2: () => netback2Driver(),
};

/** Dom0 with a bridge, and two guests with a device of each class on it. */
export class Scenario {
  readonly machine = Machine.boot({ memoryBytes: MACHINE_BYTES });
  readonly bridge = new Bridge({ name: BRIDGE });
  readonly dom0: SimulatedDomain;
  private readonly toolstack: Toolstack;
  private readonly guests: readonly [SimulatedDomain, SimulatedDomain];
  private readonly ports = new Map<DeviceClass, FramePort[]>();
  private readonly bindings: { close(): Promise<void> }[] = [];

  private constructor(options: ScenarioOptions) {
    const create = (domain: DomainOptions) => this.machine.createDomain(domain);
    this.dom0 = create({ name: 'dom0', grantTableVersion: options.dom0Version, memoryPages: DOM0_PAGES });
    this.guests = [
      create({
        name: 'guest1',
        grantTableVersion: options.guest1.grantTableVersion,
        memoryPages: GUEST_PAGES,
      }),
      create({
        name: 'guest2',
        grantTableVersion: options.guest2.grantTableVersion,
        memoryPages: GUEST_PAGES,
      }),
    ];
    this.toolstack = new Toolstack(this.dom0.store, {
      // The backends put themselves on the bridge, so there is nothing left for a script to do.
      hotplug: () => Promise.resolve(),
    });
  }

  /** Boots the machine and attaches the devices; all of them are connected when this resolves. */
  static async start(options: ScenarioOptions): Promise<Scenario> {
    const scenario = new Scenario(options);
    try {
      // A guest's own requests wait until its home in xenstore is built; the toolstack's do not.
      for (const guest of scenario.guests) await guest.store.read('name');
      for (const deviceClass of options.classes) await scenario.attach(deviceClass, options);
    } catch (error) {
      scenario.machine.shutdown();
      throw error;
    }
    return scenario;
  }

  get domains(): readonly SimulatedDomain[] {
    return [this.dom0, ...this.guests];
  }

  /** The guests' ends of one class, guest 1's first. */
  ends(deviceClass: DeviceClass): readonly [ReplayEnd, ReplayEnd] {
    const [port1, port2] = this.ports.get(deviceClass) ?? [];
    if (port1 === undefined || port2 === undefined) throw new Error(`no ${deviceClass} was attached`);
    return [
      { domain: this.guests[0], port: port1 },
      { domain: this.guests[1], port: port2 },
    ];
  }

  /** Detaches everything and switches the machine off. @returns what was left behind, in words. */
  async stop(): Promise<string[]> {
    for (const guest of this.guests) await this.toolstack.detachAll(guest.id);
    for (const binding of this.bindings) await binding.close();
    this.bridge.close();
    await this.machine.idle();
    const leaks = this.machine.leaks().map((leak) => leak.message);
    this.machine.shutdown();
    return leaks;
  }

  private async attach(deviceClass: DeviceClass, options: ScenarioOptions): Promise<void> {
    const backends = bindBackends(this.dom0, BACKENDS[deviceClass]());
    this.bindings.push(backends);
    // A backend leaves the bridge by itself: its frames end when it is removed.
    const { faults } = options;
    backends.devices$.subscribe((backend) =>
      this.bridge.add(faults === undefined ? backend : withFaults(backend, faults)),
    );
    const ports: FramePort[] = [];
    for (const [guest, { mac, severalMacs }] of [
      [this.guests[0], options.guest1],
      [this.guests[1], options.guest2],
    ] as const) {
      const frontends = bindFrontends(guest, FRONTENDS[deviceClass]());
      this.bindings.push(frontends);
      await this.toolstack.attach(guest.id, {
        type: deviceClass,
        mac,
        bridge: BRIDGE,
        guestTrusted: severalMacs,
      });
      const [port] = frontends.devices;
      if (port === undefined) throw new Error(`${guest.name} has no ${deviceClass} after it was attached`);
      ports.push(port);
    }
    this.ports.set(deviceClass, ports);
  }
}
