import { describe, expect, it } from 'vitest';
import { bindBackends } from './bind-backends';
import { bindFrontends } from './bind-frontends';
import type { DeviceClass } from './driver';
import { fakeBackend, fakeFrontend } from './testing/fake-drivers';
import { GUEST, startLab } from './testing/registry-lab';

const HANDSHAKES: readonly [row: string, type: DeviceClass, trace: string[]][] = [
  ['#1', 'vif', ['T:F:1', 'T:B:1', 'B:2', 'F:4', 'B:4']],
  ['#2', 'vif2', ['T:F:1', 'T:B:1', 'B:2', 'F:3', 'B:4', 'F:4']],
];

describe('spec trace rows: attach', () => {
  it.each(HANDSHAKES)('%s %s', async (_row, type, trace) => {
    const lab = await startLab();
    const backends = bindBackends(lab.domain(0), fakeBackend(type));
    const frontends = bindFrontends(lab.domain(1), fakeFrontend(type));
    await lab.settle();
    const before = lab.residue();
    const toolstack = lab.toolstack();
    const entry = await toolstack.attach(GUEST, { type, mac: '00:16:3e:00:00:01' });
    await lab.settle();
    expect(lab.take()).toEqual(trace);
    expect(entry).toMatchObject({ type, number: 0, frontendState: 4, backendState: 4 });
    expect(frontends.devices.map((device) => device.calls)).toEqual([['prepare', 'connected']]);
    expect(backends.devices.map((device) => device.calls)).toEqual([['features', 'connect']]);

    await toolstack.detach(GUEST, type, 0);
    await lab.settle();
    expect(frontends.devices).toEqual([]);
    expect(backends.devices).toEqual([]);
    expect(lab.residue()).toEqual(before);
    await frontends.close();
    await backends.close();
    await lab.settle();
    expect(lab.residue().watches).toBe(0);
  });
});
