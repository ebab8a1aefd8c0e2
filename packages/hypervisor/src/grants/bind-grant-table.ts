import type { SchedulerLike } from 'rxjs';
import type { GrantCounters } from '../accounting/read-accounting';
import type { GuestBoot, GuestGrants } from '../guest/simulated-domain';
import type { Hypervisor } from '../hypervisor';
import type { MachineGrantHost } from './grant-host';
import type { GrantOperations } from './grant-operations';
import { InterimGuestGrants } from './interim-guest-grants';
import { InterimGrantOperations, read64, Table } from './interim-operations';

/** Options of this Xen that concern grant tables. */
export interface GrantOptions {
  readonly transitive: boolean;
}

export function bindGrantOperations(host: MachineGrantHost, options: GrantOptions): GrantOperations {
  return new InterimGrantOperations(host, options.transitive);
}

/** The grant table of a guest kernel that boots. */
export function bootGuestGrants(
  hypervisor: Hypervisor,
  guest: GuestBoot,
  scheduler: SchedulerLike,
): GuestGrants {
  const table = new InterimGuestGrants(
    hypervisor,
    hypervisor.grants as InterimGrantOperations,
    guest,
    scheduler,
  );
  return { table, stop: () => table.stop() };
}

/** What the grant table counts in its own block. */
export function readGrantCounters(hypervisor: Hypervisor, domid: number): GrantCounters {
  const { words } = hypervisor.memory;
  const table = hypervisor.grantHost.grantTableBlock(domid) >>> 2;
  const count = (index: number): number => words[table + index] as number;
  return {
    maps: count(Table.maps),
    unmaps: count(Table.unmaps),
    copies: count(Table.copies),
    elements: count(Table.elements),
    hypercalls: count(Table.hypercalls),
    bytesCopiedBy: read64(words, table + Table.bytesCopiedBy),
    bytesCopiedFor: read64(words, table + Table.bytesCopiedFor),
    activeGrants: count(Table.active),
    mappings: count(Table.mappings),
  };
}
