/** Both device classes over real grants and event channels: dom0's user space is frontend and backend at once. */
import type { DeviceClass } from '@netchannel2/device-registry';
import { FramePool } from '@netchannel2/frames';
import { WiredDevice } from '@netchannel2/testing';
import { describeFramePort, type FramePortPair } from '@netchannel2/testing/conformance';
import { LONGEST_FRAME, portBackend, portFrontend } from '../../conformance/wired-ports';
import { openProbedHost, type ProbedHost, settleHosts } from './dom0-host';

/** Both ends in processes' worth of handles of their own. */
async function openPair(): Promise<readonly [ProbedHost, ProbedHost]> {
  return [await openProbedHost(), await openProbedHost()];
}

function mappingsLeft(hosts: readonly ProbedHost[]): number {
  return hosts.reduce((sum, host) => sum + host.domain.foreign.mappings, 0);
}

function dom0Ports(deviceClass: DeviceClass) {
  return async (): Promise<FramePortPair> => {
    const hosts = await openPair();
    const [guest, host] = hosts;
    const pool = FramePool.create(guest.domain.memory, 64);
    const device = new WiredDevice({
      guest: guest.domain,
      host: host.domain,
      frontend: portFrontend(deviceClass),
      backend: portBackend(deviceClass),
    });
    const settle = () => settleHosts(hosts, 8);
    await device.connect();
    await settle();
    return {
      a: device.frontend,
      b: device.backend,
      longestFrame: LONGEST_FRAME[deviceClass],
      poolOfA: pool,
      // Real time goes by with each: a second of it or so, emulated.
      steadyRefusals: 8,
      settle,
      async remove() {
        await device.remove();
        await settle();
      },
      async close() {
        await device.remove();
        await settle();
        const mappings = mappingsLeft(hosts);
        const failures = device.failures.map((failure) => failure.message);
        for (const each of hosts) each.close();
        if (mappings > 0 || failures.length > 0)
          throw new Error(`left behind: ${mappings} mappings; failures: ${failures.join('; ')}`);
      },
    };
  };
}

for (const deviceClass of ['vif', 'vif2'] as const) {
  describeFramePort(`${deviceClass} on real Xen, dom0 to itself`, dom0Ports(deviceClass));
}
