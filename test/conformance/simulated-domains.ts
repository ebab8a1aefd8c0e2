import { Machine } from '@netchannel2/hypervisor';
import { VirtualClock } from '@netchannel2/testing';
import type { DomainTrio, StorePair } from '@netchannel2/testing/conformance';
import { domainId } from '@netchannel2/xen';

export type Version = 1 | 2;

/** Longer than any interval in which something is tried again. */
const RETRY_TIME = 2_000;

const SMALL_MACHINE = 32 * 1024 * 1024;

function bootQuietMachine(): { machine: Machine; clock: VirtualClock } {
  const clock = new VirtualClock();
  const machine = Machine.boot({ memoryBytes: SMALL_MACHINE, scheduler: clock, now: () => clock.now() });
  return { machine, clock };
}

/** Three guests of a simulated Xen beside dom0. */
export function simulatedTrio(versions: {
  readonly granter: Version;
  readonly grantee: Version;
  readonly kind?: 'pv' | 'hvm';
}): () => DomainTrio {
  return () => {
    const { machine, clock } = bootQuietMachine();
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
        const leaks = machine.leaks().map((leak) => leak.message);
        if (clock.timers > 0) leaks.push(`${clock.timers} timers still set`);
        machine.shutdown();
        if (leaks.length > 0) throw new Error(`left behind: ${leaks.join('; ')}`);
      },
    };
  };
}

/** The xenstore of a simulated machine, through dom0's and a guest's connections. */
export function simulatedStore(): StorePair {
  const { machine, clock } = bootQuietMachine();
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
