/** Both device classes over the code for a real host: no entries of one's own, so buffers and packets in full-page grants. */
import { describeFramePort } from '@netchannel2/testing/conformance';
import { hostPorts } from './host-ports';

for (const deviceClass of ['vif', 'vif2'] as const) {
  describeFramePort(`${deviceClass}, host, libraries played`, hostPorts(deviceClass));
}
