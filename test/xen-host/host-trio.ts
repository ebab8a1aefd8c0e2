import { setImmediate } from 'node:timers/promises';
import type { DomainTrio } from '@netchannel2/testing/conformance';
import { domainId, type XenStore } from '@netchannel2/xen';
import { type HostDomain, openXenHost, processMemory } from '@netchannel2/xen-host';
import { XenStoreClient, XenStoreServer } from '@netchannel2/xenstore';
import { InProcessXen } from './in-process-xen';

/** Turns of the event loop that let events chase each other to their end. */
const QUIET_TURNS = 20;

/** Three domains that all go through the code for a real host. */
export async function hostTrio(): Promise<DomainTrio> {
  const xen = new InProcessXen(processMemory());
  const server = new XenStoreServer();
  const stores: XenStoreClient[] = [];
  const open = (domid: number): Promise<HostDomain> => {
    const store = new XenStoreClient(server.connect({ domid, privileged: true }));
    stores.push(store);
    return openXenHost({
      domid: domainId(domid),
      store: store satisfies XenStore,
      memoryPages: 1024,
      libraries: xen.domain(domid),
    });
  };
  const granter = await open(1);
  const grantee = await open(2);
  const bystander = await open(3);
  return {
    granter,
    grantee,
    bystander,
    async settle() {
      for (let turn = 0; turn < QUIET_TURNS; turn++) await setImmediate();
    },
    async close() {
      const mappings = [granter, grantee, bystander].map(({ foreign }) => foreign.mappings);
      const { left } = xen;
      for (const domain of [granter, grantee, bystander]) domain.close();
      for (const store of stores) store.close();
      server.close();
      xen.close();
      if (left > 0 || mappings.some((count) => count > 0)) {
        throw new Error(`left behind: ${left} grants and channels, mappings ${mappings.join(', ')}`);
      }
    },
  };
}
