import { Bridge } from '@netchannel2/bridge';
import type { Machine, SimulatedDomain } from '@netchannel2/hypervisor';
import { type Netback, type NetbackOptions, netbackDriver } from '@netchannel2/netback';
import { type Netfront, type NetfrontOptions, netfrontDriver } from '@netchannel2/netfront';
import { type VirtualClock, WiredDevice } from '@netchannel2/testing';
import { bootQuietMachine } from '../conformance/simulated-machine';

export interface BridgedVif {
  readonly domain: SimulatedDomain;
  readonly device: WiredDevice<Netfront, Netback>;
}

/** Two guests on one bridge in dom0, each by a vif, on virtual time. */
export class BridgedVifs {
  readonly machine: Machine;
  readonly clock: VirtualClock;
  readonly host: SimulatedDomain;
  readonly bridge: Bridge;
  readonly guests: readonly [BridgedVif, BridgedVif];
  private readonly leaks: () => string[];

  constructor(front: NetfrontOptions, back: NetbackOptions) {
    const { machine, clock, leaks } = bootQuietMachine(128);
    this.machine = machine;
    this.clock = clock;
    this.leaks = leaks;
    this.host = machine.createDomain({ name: 'dom0', memoryPages: 8192 });
    this.bridge = new Bridge({ scheduler: clock });
    const guest = (): BridgedVif => {
      const domain = machine.createDomain({ memoryPages: 4096 });
      const frontend = netfrontDriver(front);
      const backend = netbackDriver(back);
      return { domain, device: new WiredDevice({ guest: domain, host: this.host, frontend, backend }) };
    };
    this.guests = [guest(), guest()];
  }

  async start(): Promise<void> {
    for (const { device } of this.guests) {
      await device.connect();
      this.bridge.add(device.backend);
    }
    await this.clock.settle();
  }

  /** Takes both devices away. @returns what was left behind. */
  async stop(): Promise<string[]> {
    for (const { device } of this.guests) await device.remove();
    await this.clock.advance(2000);
    const left = [...this.leaks(), ...this.guests.flatMap(({ device }) => device.failures.map(String))];
    this.machine.shutdown();
    return left;
  }
}
