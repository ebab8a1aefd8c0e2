import { Bridge } from '@netchannel2/bridge';
import { Machine, type SimulatedDomain } from '@netchannel2/hypervisor';
import { type Netback2, type Netback2Options, netback2Driver } from '@netchannel2/netback2';
import { type Netfront2, type Netfront2Options, netfront2Driver } from '@netchannel2/netfront2';
import { VirtualClock, WiredDevice } from '@netchannel2/testing';
import type { DomainAccounting } from '@netchannel2/xen';
import type { Version } from './vif2-pair';

export interface BridgedGuest {
  readonly domain: SimulatedDomain;
  readonly device: WiredDevice<Netfront2, Netback2>;
  readonly front: Netfront2;
  readonly back: Netback2;
  /** Frames that arrived, copied out. */
  readonly received: Uint8Array[];
  /** 02:00:00:00:00:<n>, n from 1. */
  readonly mac: Uint8Array;
}

export interface BridgedGuestsOptions {
  readonly guests?: readonly Version[];
  readonly host?: Version;
  /** Whether this Xen honours transitive grants. */
  readonly transitiveGrants?: boolean;
  readonly front?: Netfront2Options | readonly Netfront2Options[];
  readonly back?: Netback2Options;
}

/** Guests on one bridge in dom0, each by a vif2, on virtual time. */
export class BridgedGuests {
  readonly clock = new VirtualClock();
  readonly machine: Machine;
  readonly host: SimulatedDomain;
  readonly bridge: Bridge;
  readonly guests: readonly BridgedGuest[];

  constructor(private readonly options: BridgedGuestsOptions = {}) {
    this.machine = Machine.boot({
      memoryBytes: 128 << 20,
      scheduler: this.clock,
      now: () => this.clock.now(),
      transitiveGrants: options.transitiveGrants ?? true,
    });
    this.host = this.machine.createDomain({
      name: 'dom0',
      grantTableVersion: options.host ?? 2,
      memoryPages: 4096,
    });
    this.bridge = new Bridge({ scheduler: this.clock });
    this.guests = (options.guests ?? [2, 2]).map((version, index) => this.addGuest(version, index));
  }

  /** Packets of one guest that were handed on in its grants. */
  forwarded(index: number): number {
    return this.bridge.ports.find((port) => port.port === this.guest(index).back)?.counters.forwarded ?? 0;
  }

  /** Stops a guest's virtual CPU, or has it go on. */
  halt(index: number, halted: boolean): void {
    const { domain } = this.guest(index);
    if (halted) domain.runTurn = () => false;
    else {
      Reflect.deleteProperty(domain, 'runTurn');
      domain.run(() => undefined);
    }
  }

  /** Connects all and lets everybody speak once, so that the bridge knows them. */
  async start(): Promise<void> {
    for (const guest of this.guests) {
      await guest.device.connect();
      this.bridge.add(guest.back);
    }
    await this.clock.settle();
    for (const guest of this.guests) guest.front.send(frameTo(BROADCAST, guest.mac, 60, 0));
    await this.clock.settle();
    for (const guest of this.guests) guest.received.length = 0;
  }

  /** The guest of that index. */
  guest(index: number): BridgedGuest {
    const guest = this.guests[index];
    if (guest === undefined) throw new Error(`there is no guest ${index}`);
    return guest;
  }

  /** Sends from one guest to another and waits until all came to rest. @returns what was sent. */
  async send(from: number, to: number, lengths: readonly number[]): Promise<Uint8Array[]> {
    const sender = this.guest(from);
    const target = this.guest(to).mac;
    const frames = lengths.map((length, index) => frameTo(target, sender.mac, length, index));
    for (const frame of frames) {
      if (!sender.front.send(frame)) throw new Error('no room: send fewer frames at a time');
    }
    await this.clock.settle();
    return frames;
  }

  accounting(domain: SimulatedDomain): DomainAccounting {
    const counters = this.machine.accounting(domain.id);
    if (counters === undefined) throw new Error(`domain ${domain.id} is gone`);
    return counters;
  }

  /** Pages and references all domains have left. */
  resources(): number[] {
    return [this.host, ...this.guests.map((guest) => guest.domain)].flatMap((domain) => [
      domain.memory.freePages,
      domain.grants.freeRefs,
    ]);
  }

  async stop(): Promise<void> {
    for (const guest of this.guests) await guest.device.remove();
    await this.clock.settle();
  }

  private addGuest(version: Version, index: number): BridgedGuest {
    const { front, back } = this.options;
    const domain = this.machine.createDomain({ grantTableVersion: version, memoryPages: 2048 });
    const frontOptions = Array.isArray(front) ? front[index] : front;
    const device = new WiredDevice({
      guest: domain,
      host: this.host,
      frontend: netfront2Driver(frontOptions),
      backend: netback2Driver(back),
      clock: this.clock,
    });
    const received: Uint8Array[] = [];
    device.frontend.frames$.subscribe((frame) => received.push(frame.toBytes()));
    const mac = Uint8Array.of(2, 0, 0, 0, 0, index + 1);
    return { domain, device, front: device.frontend, back: device.backend, received, mac };
  }
}

export const BROADCAST = new Uint8Array(6).fill(0xff);

/** An Ethernet frame whose bytes tell its number. */
export function frameTo(target: Uint8Array, source: Uint8Array, length: number, number: number): Uint8Array {
  const frame = Uint8Array.from({ length }, (_, index) => (index * 7 + number * 31 + (index >> 8)) & 0xff);
  frame.set(target, 0);
  frame.set(source, 6);
  frame.set([0x88, 0xb5], 12);
  return frame;
}
