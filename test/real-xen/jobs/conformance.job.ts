/** The ports over a real host: dom0's user space speaks to itself through Xen. */
import {
  type DomainTrio,
  describeDeferredWork,
  describeDomainMemory,
  describeEventChannels,
  describeForeignMemory,
  describeSharedPages,
} from '@netchannel2/testing/conformance';
import { openProbedHost, settleHosts } from './dom0-host';
import { describeNotifications } from './notifications';
import { describeTransferCosts } from './transfer-costs';

/** Three handles on each of Xen's devices, as three processes would have them; all are domain 0. */
async function dom0Trio(): Promise<DomainTrio> {
  const hosts = [await openProbedHost(1024), await openProbedHost(1024), await openProbedHost(1024)] as const;
  const [granter, grantee, bystander] = hosts;
  return {
    granter: granter.domain,
    grantee: grantee.domain,
    bystander: bystander.domain,
    oneDomain: true,
    settle: () => settleHosts(hosts),
    async close() {
      const mappings = hosts.reduce((sum, host) => sum + host.domain.foreign.mappings, 0);
      for (const host of hosts) host.close();
      if (mappings > 0) throw new Error(`left behind: ${mappings} mappings`);
    },
  };
}

const NAME = 'real Xen, dom0 to itself';
describeDomainMemory(NAME, dom0Trio);
describeSharedPages(NAME, dom0Trio);
describeForeignMemory(NAME, dom0Trio);
describeEventChannels(NAME, dom0Trio);
describeDeferredWork(NAME, dom0Trio);
describeNotifications();
describeTransferCosts();
