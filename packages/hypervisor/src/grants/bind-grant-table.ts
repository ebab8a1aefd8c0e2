import type { GrantCounters } from '../accounting/read-accounting';
import type { GuestBoot, GuestGrants } from '../guest/simulated-domain';
import type { Hypervisor } from '../hypervisor';
import type { MachineGrantHost } from './grant-host';
import type { GrantOperations } from './grant-operations';

export interface GrantOptions {
  readonly transitive: boolean;
}

export function bindGrantOperations(_host: MachineGrantHost, _options: GrantOptions): GrantOperations {
  throw new Error('not bound');
}
export function bootGuestGrants(_hypervisor: Hypervisor, _guest: GuestBoot): GuestGrants {
  throw new Error('not bound');
}
export function readGrantCounters(_hypervisor: Hypervisor, _domid: number): GrantCounters {
  throw new Error('not bound');
}
