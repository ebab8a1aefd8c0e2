/** The code for a real host keeps to the ports; Xen's libraries are played by pages that are really mapped twice. */
import {
  describeDeferredWork,
  describeDomainMemory,
  describeEventChannels,
  describeForeignMemory,
  describeSharedPages,
} from '@netchannel2/testing/conformance';
import { hostTrio } from './host-trio';

const NAME = 'host, libraries played';
describeDomainMemory(NAME, hostTrio);
describeSharedPages(NAME, hostTrio);
describeForeignMemory(NAME, hostTrio);
describeEventChannels(NAME, hostTrio);
describeDeferredWork(NAME, hostTrio);
