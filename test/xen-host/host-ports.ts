import { setImmediate } from 'node:timers/promises';
import type { DeviceClass } from '@netchannel2/device-registry';
import { FramePool } from '@netchannel2/frames';
import { VirtualClock, WiredDevice } from '@netchannel2/testing';
import type { FramePortPair } from '@netchannel2/testing/conformance';
import { domainId } from '@netchannel2/xen';
import { openXenHost, processMemory } from '@netchannel2/xen-host';
import { XenStoreClient, XenStoreServer } from '@netchannel2/xenstore';
import { LONGEST_FRAME, portBackend, portFrontend } from '../conformance/wired-ports';
import { InProcessXen } from './in-process-xen';

/** Milliseconds in which everything under way has arrived, FINISHes included; each with turns of the event loop. */
const QUIET_TIME = 25;

/** A frontend and its backend, each in a domain of its own behind the code for a real host. */
export function hostPorts(deviceClass: DeviceClass) {
  return async (): Promise<FramePortPair> => {
    const clock = new VirtualClock();
    const xen = new InProcessXen(processMemory());
    const server = new XenStoreServer();
    const open = (domid: number) =>
      openXenHost({
        domid: domainId(domid),
        store: new XenStoreClient(server.connect({ domid, privileged: true })),
        memoryPages: 8192,
        scheduler: clock,
        libraries: xen.domain(domid),
      });
    const host = await open(0);
    const guest = await open(1);
    const pool = FramePool.create(guest.memory, 64);
    const device = new WiredDevice({
      guest,
      host,
      frontend: portFrontend(deviceClass),
      backend: portBackend(deviceClass),
    });
    const settle = async (): Promise<void> => {
      for (let time = 0; time < QUIET_TIME; time++) {
        for (let turn = 0; turn < 3; turn++) await setImmediate();
        await clock.advance(1);
      }
    };
    await device.connect();
    await settle();
    return {
      a: device.frontend,
      b: device.backend,
      longestFrame: LONGEST_FRAME[deviceClass],
      poolOfA: pool,
      settle,
      async remove() {
        await device.remove();
        await settle();
      },
      async close() {
        await device.remove();
        await settle();
        const left = [
          ...device.failures.map((failure) => `the device failed: ${failure.message}`),
          ...[host, guest].map(({ id, foreign }) => `${foreign.mappings} mappings of ${id}`),
          `${xen.left} grants and channels`,
          `${clock.timers} timers`,
          `${pool?.outstanding} pages of the guest's pool`,
        ].filter((line) => !line.startsWith('0 '));
        for (const domain of [host, guest]) domain.close();
        server.close();
        xen.close();
        if (left.length > 0) throw new Error(`left behind: ${left.join('; ')}`);
      },
    };
  };
}
