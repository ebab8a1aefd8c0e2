/** Both device classes keep to the frame port, with every combination of grant table versions at their ends. */
import { describeFramePort } from '@netchannel2/testing/conformance';
import type { Version } from './simulated-domains';
import { wiredPorts } from './wired-ports';

const VERSIONS: readonly Version[] = [1, 2];

for (const deviceClass of ['vif', 'vif2'] as const) {
  for (const guest of VERSIONS) {
    for (const dom0 of VERSIONS) {
      const name = `${deviceClass}, guest v${guest}, dom0 v${dom0}`;
      describeFramePort(name, wiredPorts(deviceClass, { guest, dom0 }));
    }
  }
}
