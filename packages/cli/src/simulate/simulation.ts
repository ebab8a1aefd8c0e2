import { Bridge } from '@netchannel2/bridge';
import {
  bindBackends,
  bindFrontends,
  type DeviceConfiguration,
  type DeviceEntry,
  formatMac,
  parseMac,
  Toolstack,
} from '@netchannel2/device-registry';
import { Machine, type SimulatedDomain } from '@netchannel2/hypervisor';
import { netbackDriver } from '@netchannel2/netback';
import { netback2Driver } from '@netchannel2/netback2';
import { netfrontDriver } from '@netchannel2/netfront';
import { netfront2Driver } from '@netchannel2/netfront2';
import type { FramePort } from '@netchannel2/xen';
import type { Subscription } from 'rxjs';

export interface SimulationOptions {
  readonly guests: number;
  /** Devices every guest starts with; a MAC is the first guest's, the next ones count on. */
  readonly devices?: readonly DeviceConfiguration[];
  /** Default 2. */
  readonly grantTableVersion?: 1 | 2;
}

const DEFAULT_BRIDGE = 'xenbr0';
const DOM0_PAGES = 16_384;
const GUEST_PAGES = 4096;
const SPARE_BYTES = 64 * 1024 * 1024;
const UNIT = 64 * 1024;

/** dom0 and some guests with all drivers bound, as a running host has them: devices come and go through xenstore. */
export class Simulation {
  readonly machine: Machine;
  readonly dom0: SimulatedDomain;
  readonly guests: readonly SimulatedDomain[];
  readonly toolstack: Toolstack;
  private readonly bridges = new Map<string, Bridge>();
  private readonly bindings: { close(): Promise<void> }[] = [];
  private readonly subscriptions: Subscription[] = [];

  private constructor(options: SimulationOptions) {
    const pages = DOM0_PAGES + options.guests * GUEST_PAGES;
    const memoryBytes = Math.ceil((pages * 4096 * 1.1 + SPARE_BYTES) / UNIT) * UNIT;
    this.machine = Machine.boot({ memoryBytes });
    const grantTableVersion = options.grantTableVersion ?? 2;
    this.dom0 = this.machine.createDomain({ name: 'dom0', memoryPages: DOM0_PAGES, grantTableVersion });
    this.guests = Array.from({ length: options.guests }, (_, index) =>
      this.machine.createDomain({ name: `guest${index + 1}`, memoryPages: GUEST_PAGES, grantTableVersion }),
    );
    this.toolstack = new Toolstack(this.dom0.store);
    for (const driver of [netbackDriver(), netback2Driver()]) this.bindBackend(driver);
    for (const guest of this.guests) {
      this.bindings.push(bindFrontends(guest, netfrontDriver()), bindFrontends(guest, netfront2Driver()));
    }
  }

  /** Boots, attaches, and resolves when every device is connected. */
  static async start(options: SimulationOptions): Promise<Simulation> {
    const simulation = new Simulation(options);
    try {
      for (const guest of simulation.guests) await guest.store.read('name');
      for (const guest of simulation.guests) {
        for (const device of options.devices ?? []) {
          await simulation.toolstack.attach(guest.id, { ...device, ...ownMac(device.mac, guest.id - 1) });
        }
      }
    } catch (error) {
      simulation.machine.shutdown();
      throw error;
    }
    return simulation;
  }

  /** Detaches everything and switches off. @returns what was left behind, in words. */
  async stop(): Promise<string[]> {
    const devices: readonly DeviceEntry[] = await this.toolstack.list();
    await Promise.all(
      devices.map((device) =>
        this.toolstack.detach(device.domid, device.type, device.number).catch(() => undefined),
      ),
    );
    for (const binding of this.bindings) await binding.close();
    for (const subscription of this.subscriptions) subscription.unsubscribe();
    for (const bridge of this.bridges.values()) bridge.close();
    await this.machine.idle();
    const leaks = this.machine.leaks().map((leak) => leak.message);
    this.machine.shutdown();
    return leaks;
  }

  private bindBackend(driver: Parameters<typeof bindBackends>[1]): void {
    const backends = bindBackends(this.dom0, driver);
    this.bindings.push(backends);
    this.subscriptions.push(
      backends.connections$.subscribe(({ device, link }) => {
        void link.readOwn('bridge').then((name) => {
          if (name !== '-' && isPort(device)) this.bridge(name ?? DEFAULT_BRIDGE).add(device);
        });
      }),
    );
  }

  private bridge(name: string): Bridge {
    let bridge = this.bridges.get(name);
    if (bridge === undefined) {
      bridge = new Bridge({ name });
      this.bridges.set(name, bridge);
    }
    return bridge;
  }
}

/** Guests must not share an address: each counts on from the one before. */
function ownMac(mac: string | undefined, guest: number): { readonly mac?: string } {
  const bytes = mac === undefined ? undefined : parseMac(mac);
  if (bytes === undefined) return {};
  const low = (((bytes[3] ?? 0) << 16) | ((bytes[4] ?? 0) << 8) | (bytes[5] ?? 0)) + guest;
  return {
    mac: formatMac(Uint8Array.of(...bytes.subarray(0, 3), (low >> 16) & 255, (low >> 8) & 255, low & 255)),
  };
}

function isPort(device: object): device is FramePort {
  return 'frames$' in device && 'send' in device;
}
