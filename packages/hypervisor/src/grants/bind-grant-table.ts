import { GrantTableOperations, type GrantTableOptions, GuestGrantTable } from '@netchannel2/grant-table';
import { Counter, counterBase } from '../accounting/counters';
import { Block, DomainKind } from '../domains/domain-block';
import type { GuestBoot, GuestGrants } from '../guest/simulated-domain';
import type { Hypervisor } from '../hypervisor';
import type { MachineGrantHost } from './grant-host';
import type { GrantOperations } from './grant-operations';

export function bindGrantOperations(host: MachineGrantHost, options: GrantTableOptions): GrantOperations {
  return new GrantTableOperations(host, options);
}

/** Pages for a guest's hypercall arguments: a frame list has 8 bytes for each frame of the table. */
function argumentPages(maxFrames: number): number {
  return Math.ceil((64 + maxFrames * 8) / 4096);
}

/** The grant table of a guest kernel that boots. */
export function bootGuestGrants(hypervisor: Hypervisor, guest: GuestBoot): GuestGrants {
  const { memory, grants } = hypervisor;
  const argument = guest.memory.allocate(
    argumentPages(memory.words[guest.block + Block.maximumGrantFrames] as number),
  );
  if (argument === undefined) throw new RangeError('a domain needs a page to set its grant table up in');
  const translated = memory.words[guest.block + Block.kind] === DomainKind.hvm;
  const counters = counterBase(guest.block);
  const table = new GuestGrantTable(
    {
      hypercall: guest.hypercall,
      argument,
      halfwords: memory.halfwords,
      memory: guest.memory,
      scheduler: guest.scheduler,
      access: memory.kernels.entries,
      counters: memory.doubles,
      publishedCounter: counters + Counter.grantsPublished,
      revokedCounter: counters + Counter.grantsRevoked,
      addToPhysmap: translated
        ? (index, status) => {
            const frame = grants.tableFrame(guest.id, index, status);
            return frame < 0 ? frame : frame << 12;
          }
        : undefined,
    },
    guest.version,
  );
  return { table, stop: () => table.stop() };
}
