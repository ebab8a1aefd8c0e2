import { type Bridge, type FaultOptions, withFaults } from '@netchannel2/bridge';
import type { DeviceClass } from '@netchannel2/device-registry';
import type { Machine, SimulatedDomain } from '@netchannel2/hypervisor';
import { Lab, type LabGuest, LeakError } from '@netchannel2/testing';
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

/** 64 KiB a ring hold as many frames as the 256 slots of a vif's. */
const RING_PAGE_ORDER = 4;

/** Dom0 with a bridge, and two guests with a device of each class on it. */
export class Scenario {
  private readonly ports = new Map<DeviceClass, readonly [FramePort, FramePort]>();

  private constructor(
    private readonly lab: Lab,
    private readonly guests: readonly [LabGuest, LabGuest],
  ) {}

  /** Boots the machine and attaches the devices; all of them are connected when this resolves. */
  static async start(options: ScenarioOptions): Promise<Scenario> {
    const { faults, guest1, guest2 } = options;
    const lab = await Lab.start({
      dom0: { grantTableVersion: options.dom0Version },
      drivers: { netfront2: { ringPageOrder: RING_PAGE_ORDER } },
      plug: (backend, bridge) => bridge.add(faults === undefined ? backend : withFaults(backend, faults)),
    });
    try {
      const scenario = new Scenario(lab, [
        await lab.addGuest({ name: 'guest1', grantTableVersion: guest1.grantTableVersion }),
        await lab.addGuest({ name: 'guest2', grantTableVersion: guest2.grantTableVersion }),
      ]);
      for (const deviceClass of options.classes) await scenario.attach(deviceClass, guest1, guest2);
      return scenario;
    } catch (error) {
      lab.machine.shutdown();
      throw error;
    }
  }

  get machine(): Machine {
    return this.lab.machine;
  }

  get bridge(): Bridge {
    return this.lab.bridge;
  }

  get domains(): readonly SimulatedDomain[] {
    return [this.lab.dom0, ...this.guests.map((guest) => guest.domain)];
  }

  /** The guests' ends of one class, guest 1's first. */
  ends(deviceClass: DeviceClass): readonly [ReplayEnd, ReplayEnd] {
    const ports = this.ports.get(deviceClass);
    if (ports === undefined) throw new Error(`no ${deviceClass} was attached`);
    const [guest1, guest2] = this.guests;
    return [
      { domain: guest1.domain, port: ports[0] },
      { domain: guest2.domain, port: ports[1] },
    ];
  }

  /** Detaches everything and switches the machine off. @returns what was left behind, in words. */
  async stop(): Promise<readonly string[]> {
    try {
      await this.lab.stop();
      return [];
    } catch (error) {
      if (error instanceof LeakError) return error.leaks;
      throw error;
    }
  }

  private async attach(deviceClass: DeviceClass, first: GuestOptions, second: GuestOptions): Promise<void> {
    const configuration = ({ mac, severalMacs }: GuestOptions) => ({ mac, guestTrusted: severalMacs });
    const [guest1, guest2] = this.guests;
    this.ports.set(deviceClass, [
      await guest1.attach(deviceClass, configuration(first)),
      await guest2.attach(deviceClass, configuration(second)),
    ]);
  }
}
