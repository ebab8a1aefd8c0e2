import type { GrantCounters } from '../accounting/read-accounting';
import type { GuestBoot, GuestGrants } from '../guest/simulated-domain';
import type { Hypervisor } from '../hypervisor';
import type { MachineGrantHost } from './grant-host';
import type { GrantOperations } from './grant-operations';

export interface GrantOptions {
  readonly transitive: boolean;
}

export function bindGrantOperations(_host: MachineGrantHost, _options: GrantOptions): GrantOperations {
  return {
    execute: () => -38,
    createTable: () => true,
    releaseMappings: () => {},
    destroyTable: () => {},
    waitForCopies: () => {},
  };
}
export function bootGuestGrants(_hypervisor: Hypervisor, _guest: GuestBoot): GuestGrants {
  return { table: { version: 2, freeRefs: 0, share: () => undefined, entries: undefined }, stop() {} };
}
export function readGrantCounters(_hypervisor: Hypervisor, _domid: number): GrantCounters {
  return {
    maps: 0,
    unmaps: 0,
    copies: 0,
    elements: 0,
    hypercalls: 0,
    bytesCopiedBy: 0,
    bytesCopiedFor: 0,
    activeGrants: 0,
    mappings: 0,
  };
}
