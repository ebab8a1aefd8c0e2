import { setImmediate } from 'node:timers/promises';
import { bindBackends, Toolstack } from '@netchannel2/device-registry';
import { Machine } from '@netchannel2/hypervisor';
import { netbackDriver } from '@netchannel2/netback';
import { describe, expect, it } from 'vitest';
import { generatorEnd } from './frontend-end';
import { FrontendServer } from './serve-frontend';

describe('FrontendServer with a generator', () => {
  it('sends all its frames, more than a ring holds, and says when the last was taken', async () => {
    const machine = Machine.boot({ memoryBytes: 64 << 20 });
    const dom0 = machine.createDomain({ name: 'dom0', memoryPages: 4096 });
    const guest = machine.createDomain({ name: 'guest', memoryPages: 2048 });
    const backends = bindBackends(dom0, netbackDriver(), { hotplug: 'self' });
    let arrived = 0;
    backends.connections$.subscribe(({ device }) => {
      device.frames$.subscribe((frame) => {
        if (frame.byteLength === 600) arrived += 1;
      });
    });
    const log: string[] = [];
    const count = 1000;
    let server: FrontendServer | undefined;
    const done = new Promise<void>((resolve) => {
      const end = generatorEnd(count, 600, (line) => log.push(line), resolve);
      server = new FrontendServer(guest, { number: 0, end, log: () => {} });
    });
    while ((await dom0.store.tryRead(`/local/domain/${guest.id}`)) === undefined) await setImmediate();
    await new Toolstack(dom0.store, { hotplug: () => Promise.resolve() }).attach(guest.id, { type: 'vif' });
    await done;
    await machine.idle();
    expect(log).toEqual([`sent ${count} frames of 600 bytes, received 0`]);
    expect(arrived).toBe(count);
    await Promise.all([server?.close(), backends.close()]);
    machine.shutdown();
  });
});
