import { Machine, type SimulatedDomain } from '@netchannel2/hypervisor';
import { type Netback2, type Netback2Options, netback2Driver } from '@netchannel2/netback2';
import { type Netfront2, type Netfront2Options, netfront2Driver } from '@netchannel2/netfront2';
import { VirtualClock, WiredDevice } from '@netchannel2/testing';

export type Version = 1 | 2;

export interface Vif2Pair {
  readonly machine: Machine;
  readonly clock: VirtualClock;
  readonly host: SimulatedDomain;
  readonly guest: SimulatedDomain;
  readonly device: WiredDevice<Netfront2, Netback2>;
  readonly front: Netfront2;
  readonly back: Netback2;
  /** Runs everything that is due. */
  settle(): Promise<void>;
  /** Pages and references both domains have left. */
  resources(): Record<string, number>;
}

export interface Vif2PairOptions {
  readonly guest?: Version;
  readonly host?: Version;
  readonly front?: Netfront2Options;
  readonly back?: Netback2Options;
  readonly frontendNodes?: Record<string, string>;
  readonly backendNodes?: Record<string, string>;
}

/** A netfront2 in a guest and a netback2 in dom0 of a simulated machine on virtual time, not yet connected. */
export function vif2Pair(options: Vif2PairOptions = {}): Vif2Pair {
  const clock = new VirtualClock();
  const machine = Machine.boot({ memoryBytes: 64 << 20, scheduler: clock, now: () => clock.now() });
  const host = machine.createDomain({
    name: 'dom0',
    grantTableVersion: options.host ?? 2,
    memoryPages: 4096,
  });
  const guest = machine.createDomain({
    name: 'guest',
    grantTableVersion: options.guest ?? 2,
    memoryPages: 4096,
  });
  const device = new WiredDevice({
    guest,
    host,
    frontend: netfront2Driver(options.front),
    backend: netback2Driver(options.back),
    clock,
    ...(options.frontendNodes && { frontendNodes: options.frontendNodes }),
    ...(options.backendNodes && { backendNodes: options.backendNodes }),
  });
  return {
    machine,
    clock,
    host,
    guest,
    device,
    front: device.frontend,
    back: device.backend,
    settle: () => clock.settle(),
    resources: () => ({
      hostPages: host.memory.freePages,
      guestPages: guest.memory.freePages,
      hostRefs: host.grants.freeRefs,
      guestRefs: guest.grants.freeRefs,
    }),
  };
}

/** Bytes that no other length and number gives, from and to fixed unicast addresses. */
export function numberedFrame(length: number, number: number): Uint8Array {
  const frame = Uint8Array.from({ length }, (_, index) => (index * 7 + number * 31 + (index >> 8)) & 0xff);
  frame.set([0x00, 0x16, 0x3e, 0x00, 0x00, 0x02, 0x00, 0x16, 0x3e, 0x00, 0x00, 0x01, 0x88, 0xb5]);
  return frame;
}
