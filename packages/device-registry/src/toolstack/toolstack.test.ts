import { domainId } from '@netchannel2/xen';
import { describe, expect, it } from 'vitest';
import { bindBackends } from '../bind-backends';
import { bindFrontends } from '../bind-frontends';
import { fakeBackend, fakeFrontend } from '../testing/fake-drivers';
import { GUEST, type RegistryLab, startLab } from '../testing/registry-lab';
import type { DeviceEntry } from './device-list';

/** `name = "value" (permissions)`, as `xenstore-ls -p` prints a directory, relative to it. */
async function dump(lab: RegistryLab, path: string): Promise<string[]> {
  const line = async (node: string, name: string) => {
    const letters = { none: 'n', read: 'r', write: 'w', both: 'b' } as const;
    const permissions = await lab.root.getPermissions(node);
    const text = permissions.map(({ domid, access }) => `${letters[access]}${domid}`).join(',');
    return `${name} = "${await lab.root.read(node)}" (${text})`;
  };
  const lines = [await line(path, '.')];
  for (const name of await lab.root.list(path)) lines.push(await line(`${path}/${name}`, name));
  return lines;
}

const created = { until: 'created' } as const;

describe('nodes as libxl writes them', () => {
  it('vif', async () => {
    const lab = await startLab();
    await lab
      .toolstack()
      .attach(
        GUEST,
        { mac: '00:16:3e:00:00:01', ip: '10.0.1.1/24', script: '/etc/xen/scripts/vif-lab' },
        created,
      );
    expect(await dump(lab, '/local/domain/1/device/vif/0')).toEqual([
      '. = "" (n1,r0)',
      'backend = "/local/domain/0/backend/vif/1/0" (n1,r0)',
      'backend-id = "0" (n1,r0)',
      'state = "1" (n1,r0)',
      'handle = "0" (n1,r0)',
      'mac = "00:16:3e:00:00:01" (n1,r0)',
      'trusted = "1" (n1,r0)',
      'mtu = "1500" (n0,r1)',
    ]);
    expect(await dump(lab, '/local/domain/0/backend/vif/1/0')).toEqual([
      '. = "" (n0,r1)',
      'frontend = "/local/domain/1/device/vif/0" (n0,r1)',
      'frontend-id = "1" (n0,r1)',
      'online = "1" (n0,r1)',
      'state = "1" (n0,r1)',
      'script = "/etc/xen/scripts/vif-lab" (n0,r1)',
      'mac = "00:16:3e:00:00:01" (n0,r1)',
      'ip = "10.0.1.1/24" (n0,r1)',
      'bridge = "xenbr0" (n0,r1)',
      'handle = "0" (n0,r1)',
      'type = "vif" (n0,r1)',
      'hotplug-status = "" (n0,r1)',
    ]);
    expect(await dump(lab, '/libxl/1/device/vif/0')).toEqual([
      '. = "" (n0)',
      'frontend = "/local/domain/1/device/vif/0" (n0)',
      'backend = "/local/domain/0/backend/vif/1/0" (n0)',
      'frontend-id = "1" (n0)',
      'online = "1" (n0)',
      'state = "1" (n0)',
      'script = "/etc/xen/scripts/vif-lab" (n0)',
      'mac = "00:16:3e:00:00:01" (n0)',
      'ip = "10.0.1.1/24" (n0)',
      'bridge = "xenbr0" (n0)',
      'handle = "0" (n0)',
      'type = "vif" (n0)',
      'hotplug-status = "" (n0)',
    ]);
    for (const [path, owner] of [
      ['/local/domain/0/backend/vif/1', 'n0'],
      ['/local/domain/1/device/vif', 'n0,r1'],
      ['/libxl/1/device', 'n0'],
    ]) {
      expect((await dump(lab, path ?? ''))[0]).toBe(`. = "" (${owner})`);
    }
  });

  it('optional nodes of a vif, in a driver domain', async () => {
    const lab = await startLab([0, 1, 2]);
    await lab
      .toolstack()
      .attach(GUEST, { backend: domainId(2), mtu: 9000, rate: '10Mb/s', trusted: false }, created);
    const backend = await dump(lab, '/local/domain/2/backend/vif/1/0');
    expect(backend).toContain('rate = "62500,50000" (n2,r1)');
    expect(backend).toContain('mtu = "9000" (n2,r1)');
    const frontend = await dump(lab, '/local/domain/1/device/vif/0');
    expect(frontend).toContain('mtu = "9000" (n2,r1)');
    expect(frontend).toContain('trusted = "0" (n1,r2)');
  });

  it('vif2', async () => {
    const lab = await startLab();
    await lab.toolstack().attach(GUEST, { type: 'vif2', mac: '00:16:3e:00:00:01' }, created);
    const values = async (path: string) =>
      (await dump(lab, path)).slice(1).map((line) => line.replace(/ \(.*/, ''));
    expect(await values('/local/domain/1/device/vif2/0')).toEqual([
      'backend = "/local/domain/0/backend/vif2/1/0"',
      'backend-id = "0"',
      'state = "1"',
      'mac = "00:16:3e:00:00:01"',
      'remote-mac = "fe:ff:ff:ff:ff:ff"',
      'local-trusted = "0"',
      'remote-trusted = "1"',
      'filter-mac = "0"',
      'mtu = "1500"',
    ]);
    expect(await values('/local/domain/0/backend/vif2/1/0')).toEqual(
      expect.arrayContaining([
        'handle = "0"',
        'domain = "guest1"',
        'mac = "fe:ff:ff:ff:ff:ff"',
        'remote-mac = "00:16:3e:00:00:01"',
        'local-trusted = "1"',
        'remote-trusted = "0"',
        'filter-mac = "1"',
        'max-bypasses = "5"',
      ]),
    );
  });
});

describe('toolstack', () => {
  it('numbers devices after the last one', async () => {
    const lab = await startLab();
    const toolstack = lab.toolstack();
    const attach = (number?: number) =>
      toolstack.attach(GUEST, number === undefined ? {} : { number }, created).then((entry) => entry.number);
    expect([await attach(), await attach(), await attach(7), await attach()]).toEqual([0, 1, 7, 8]);
    await expect(attach(7)).rejects.toMatchObject({ code: 'exists' });
    expect((await toolstack.list()).map(({ number }) => number)).toEqual([0, 1, 7, 8]);
  });

  it('attaches side by side, all numbers distinct', async () => {
    const lab = await startLab();
    const toolstack = lab.toolstack();
    const entries = await Promise.all(Array.from({ length: 8 }, () => toolstack.attach(GUEST, {}, created)));
    expect(entries.map(({ number }) => number).sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  it('refuses domains that are not there', async () => {
    const lab = await startLab();
    const toolstack = lab.toolstack();
    await expect(toolstack.attach(domainId(9), {})).rejects.toThrow('there is no domain 9');
    await expect(toolstack.attach(GUEST, { backend: domainId(9) })).rejects.toMatchObject({
      code: 'no-domain',
    });
    await expect(toolstack.detach(GUEST, 'vif', 3)).rejects.toMatchObject({ code: 'no-device' });
  });

  it('takes its facts from its own record, not from the guest', async () => {
    const lab = await startLab();
    const toolstack = lab.toolstack();
    await toolstack.attach(GUEST, { mac: '00:16:3e:00:00:01' }, created);
    await lab.client(1).write('device/vif/0/backend', '/local/domain/0/backend/vif/2/0');
    await lab.client(1).write('device/vif/0/mac', '00:16:3e:ff:ff:ff');
    expect(await toolstack.find(GUEST, 'vif', 0)).toMatchObject({
      backendPath: '/local/domain/0/backend/vif/1/0',
      mac: '00:16:3e:00:00:01',
    });
  });

  it('forces a guest that does not answer', async () => {
    const lab = await startLab();
    const backends = bindBackends(lab.domain(0), fakeBackend('vif'));
    await lab.settle();
    const before = lab.residue();
    const toolstack = lab.toolstack();
    await toolstack.attach(GUEST, {}, { until: 'backend' });
    await lab.client(1).write('device/vif/0/state', '4');
    await lab.settle();
    const detached = toolstack.detach(GUEST, 'vif', 0);
    await lab.advance(9_999);
    expect(await lab.backendState(1)).toBe('5');
    await lab.advance(1);
    await detached;
    await lab.settle();
    expect(backends.devices).toEqual([]);
    expect(lab.residue()).toEqual(before);
  });

  it.each(['vif', 'vif2'] as const)('%s by force at once', async (type) => {
    const lab = await startLab();
    bindBackends(lab.domain(0), fakeBackend(type));
    bindFrontends(lab.domain(1), fakeFrontend(type));
    await lab.settle();
    const before = lab.residue();
    const toolstack = lab.toolstack();
    await toolstack.attach(GUEST, { type });
    await toolstack.detach(GUEST, type, 0, { force: true });
    await lab.settle();
    expect(lab.residue()).toEqual(before);
  });

  it('a guest without a driver is let go at once', async () => {
    const lab = await startLab();
    bindBackends(lab.domain(0), fakeBackend('vif'));
    const toolstack = lab.toolstack();
    await toolstack.attach(GUEST, {}, { until: 'backend' });
    await toolstack.detach(GUEST, 'vif', 0);
    expect(await toolstack.list()).toEqual([]);
  });

  it('cleans up behind a guest that was destroyed', async () => {
    const lab = await startLab();
    const backends = bindBackends(lab.domain(0), fakeBackend('vif'));
    bindFrontends(lab.domain(1), fakeFrontend('vif'));
    const toolstack = lab.toolstack();
    await toolstack.attach(GUEST, {});
    lab.server.releaseDomain(1);
    await lab.root.remove('/local/domain/1');
    await lab.settle();
    expect(backends.devices).toEqual([]);
    await toolstack.detachAll(GUEST);
    expect(await toolstack.list()).toEqual([]);
    expect(await lab.root.tryRead('/local/domain/0/backend')).toBeUndefined();
    expect(await lab.root.tryRead('/local/domain/1')).toBeUndefined();
  });

  it('falls back when the frontend never takes the vif2', async () => {
    const lab = await startLab();
    bindBackends(lab.domain(0), fakeBackend('vif2'));
    bindBackends(lab.domain(0), fakeBackend('vif'));
    bindFrontends(lab.domain(1), fakeFrontend('vif'));
    const attached = lab.toolstack().attach(GUEST, { type: 'vif2', fallback: true });
    await lab.advance(60_000);
    expect(await attached).toMatchObject({ type: 'vif', requestedType: 'vif2', backendState: 4 });
  });

  it('refuses without a fallback, and says what the frontend said', async () => {
    const lab = await startLab();
    bindBackends(lab.domain(0), fakeBackend('vif2'));
    bindFrontends(
      lab.domain(1),
      fakeFrontend('vif2', (call) => {
        if (call === 'prepare') throw new Error('needs protocol version 2');
      }),
    );
    await expect(lab.toolstack().attach(GUEST, { type: 'vif2' })).rejects.toThrow(
      '5 needs protocol version 2',
    );
    await lab.settle();
    expect(await lab.root.tryRead('/local/domain/1/error/device')).toBeUndefined();
  });

  it('devices$ follows', async () => {
    const lab = await startLab([0, 1, 2]);
    bindBackends(lab.domain(0), fakeBackend('vif'));
    bindFrontends(lab.domain(1), fakeFrontend('vif'));
    await lab.settle();
    const before = lab.residue();
    const toolstack = lab.toolstack();
    const seen: (readonly DeviceEntry[])[] = [];
    const subscription = toolstack.devices$.subscribe((entries) => seen.push(entries));
    await toolstack.attach(GUEST, {});
    await lab.settle();
    expect(seen[0]).toEqual([]);
    expect(seen.at(-1)).toMatchObject([
      { domid: 1, frontendState: 4, backendState: 4, hotplugStatus: 'connected' },
    ]);
    await toolstack.detach(GUEST, 'vif', 0);
    await lab.settle();
    expect(seen.at(-1)).toEqual([]);
    subscription.unsubscribe();
    await lab.settle();
    expect(lab.residue()).toEqual(before);
  });
});
