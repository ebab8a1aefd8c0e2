/** The simulated Xen keeps to the ports, whatever grant table versions the two sides have. */
import {
  describeDeferredWork,
  describeDomainMemory,
  describeEventChannels,
  describeForeignMemory,
  describeGrantTable,
  describeSharedPages,
  describeXenStore,
} from '@netchannel2/testing/conformance';
import { ringStore, simulatedStore, simulatedTrio, type Version } from './simulated-domains';

const VERSIONS: readonly Version[] = [1, 2];

for (const granter of VERSIONS) {
  for (const grantee of VERSIONS) {
    const name = `simulated Xen, granter v${granter}, grantee v${grantee}`;
    const trio = simulatedTrio({ granter, grantee });
    describeSharedPages(name, trio);
    describeGrantTable(name, trio);
    describeForeignMemory(name, trio);
  }
}

const pv = simulatedTrio({ granter: 2, grantee: 2 });
describeDomainMemory('simulated Xen', pv);
describeEventChannels('simulated Xen', pv);
describeDeferredWork('simulated Xen', pv);
describeXenStore('simulated Xen, in process on virtual time', simulatedStore);
describeXenStore('simulated Xen, through the guest’s ring page', ringStore);
