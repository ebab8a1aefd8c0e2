import { Machine } from '@netchannel2/hypervisor';
import type { DomainTrio, StorePair } from '@netchannel2/testing/conformance';
import { domainId } from '@netchannel2/xen';
import { bootQuietMachine, RETRY_TIME } from './simulated-machine';

export type Version = 1 | 2;

/** Three guests of a simulated Xen beside dom0. */
export function simulatedTrio(versions: {
  readonly granter: Version;
  readonly grantee: Version;
  readonly kind?: 'pv' | 'hvm';
}): () => DomainTrio {
  return () => {
    const { machine, clock, leaks } = bootQuietMachine(32);
    const guest = (name: string, grantTableVersion: Version) =>
      machine.createDomain({ name, grantTableVersion, memoryPages: 1024, kind: versions.kind ?? 'pv' });
    machine.createDomain({ name: 'dom0', memoryPages: 64 });
    const granter = guest('granter', versions.granter);
    const grantee = guest('grantee', versions.grantee);
    const bystander = guest('bystander', 2);
    return {
      granter,
      grantee,
      bystander,
      settle: () => clock.advance(RETRY_TIME),
      async close() {
        await clock.advance(RETRY_TIME);
        const left = leaks();
        machine.shutdown();
        if (left.length > 0) throw new Error(`left behind: ${left.join('; ')}`);
      },
    };
  };
}

/** The xenstore of a simulated machine, through dom0's and a guest's connections. */
export function simulatedStore(): StorePair {
  const { machine, clock } = bootQuietMachine(16);
  const dom0 = machine.createDomain({ name: 'dom0', memoryPages: 64 });
  const guest = machine.createDomain({ name: 'guest', memoryPages: 64 });
  return {
    privileged: dom0.store,
    guest: guest.store,
    guestId: domainId(guest.id),
    settle: () => clock.advance(RETRY_TIME),
    async close() {
      await clock.settle();
      machine.shutdown();
    },
  };
}

/** The same on real time, where the guest talks through its page and event channel. */
export function ringStore(): StorePair {
  const machine = Machine.boot({ memoryBytes: 16 * 1024 * 1024 });
  const dom0 = machine.createDomain({ name: 'dom0', memoryPages: 64 });
  const guest = machine.createDomain({ name: 'guest', memoryPages: 64 });
  return {
    privileged: dom0.store,
    guest: guest.store,
    guestId: domainId(guest.id),
    async settle() {
      // A request answered is behind every event sent before it.
      await dom0.store.read('domid');
      await guest.store.read('domid');
      await machine.idle();
    },
    async close() {
      await machine.idle();
      const left = machine.leaks().map((leak) => leak.message);
      machine.shutdown();
      if (left.length > 0) throw new Error(`left behind: ${left.join('; ')}`);
    },
  };
}
