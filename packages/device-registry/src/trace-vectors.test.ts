import { type XenStore, XenStoreError } from '@netchannel2/xen';
import { describe, expect, it } from 'vitest';
import { bindBackends } from './bind-backends';
import { bindFrontends } from './bind-frontends';
import { type DeviceClass, DeviceError } from './driver';
import { requireDecimal } from './peer-values';
import { writeState } from './state-node';
import { fakeBackend, fakeFrontend, type Script } from './testing/fake-drivers';
import { DOM0, GUEST, type RegistryLab, startLab } from './testing/registry-lab';
import type { AttachOptions } from './toolstack/device-arrival';
import { XenbusState } from './xenbus-state';

const FE = '/local/domain/1/device/vif/0';
const BE = '/local/domain/0/backend/vif/1/0';
const ERROR = '/local/domain/0/error/backend/vif/1/0/error';

interface Wired {
  readonly lab: RegistryLab;
  readonly backends: ReturnType<typeof bindBackends<ReturnType<ReturnType<typeof fakeBackend>['create']>>>;
  readonly frontends: ReturnType<typeof bindFrontends<ReturnType<ReturnType<typeof fakeFrontend>['create']>>>;
  readonly toolstack: ReturnType<RegistryLab['toolstack']>;
}

/** One guest, both drivers, a connected device; the trace starts empty. */
async function connected(type: DeviceClass = 'vif'): Promise<Wired> {
  const lab = await startLab();
  const backends = bindBackends(lab.domain(0), fakeBackend(type));
  const frontends = bindFrontends(lab.domain(1), fakeFrontend(type));
  const toolstack = lab.toolstack();
  await toolstack.attach(GUEST, { type });
  await lab.settle();
  lab.take();
  return { lab, backends, frontends, toolstack };
}

/** A backend driver and a device, with a frontend played by the test. */
async function backendOnly(
  type: DeviceClass = 'vif',
  script: Script = () => {},
  options: AttachOptions = {},
) {
  const lab = await startLab();
  const backends = bindBackends(lab.domain(0), fakeBackend(type, script));
  const toolstack = lab.toolstack();
  await toolstack.attach(GUEST, { type }, { until: 'backend', ...options });
  await lab.settle();
  lab.take();
  const guest = lab.client(1);
  return { lab, backends, toolstack, guest };
}

async function show(lab: RegistryLab, guest: XenStore, state: string): Promise<string[]> {
  await guest.write(`${FE}/state`, state);
  await lab.settle();
  return lab.take();
}

describe('spec trace rows', () => {
  it('#3 no backend driver', async () => {
    const lab = await startLab();
    const before = lab.residue();
    const attach = lab.toolstack().attach(GUEST, {});
    const refused = expect(attach).rejects.toMatchObject({ code: 'no-backend' });
    await lab.advance(9_999);
    expect(await lab.backendState(1)).toBe('1');
    await lab.advance(1);
    await refused;
    await lab.settle();
    expect(lab.residue()).toEqual(before);
  });

  it('#4 toolstack detach', async () => {
    const { lab, toolstack, frontends, backends } = await connected();
    const [frontend] = frontends.devices;
    const [backend] = backends.devices;
    await toolstack.detach(GUEST, 'vif', 0);
    await lab.settle();
    expect(lab.take()).toEqual(['T:B:5', 'F:6', 'B:6']);
    expect(await lab.frontendState(1)).toBeUndefined();
    expect(await lab.backendState(1)).toBeUndefined();
    expect(frontend?.calls).toEqual([
      'prepare',
      'connected',
      'closing',
      'disconnect',
      'disconnect',
      'removed',
    ]);
    expect(backend?.calls).toEqual(['features', 'connect', 'disconnect', 'disconnect', 'removed']);
  });

  it('#4 vif2 detach by shutdown-request', async () => {
    const { lab, toolstack } = await connected('vif2');
    await toolstack.detach(GUEST, 'vif2', 0);
    await lab.settle();
    expect(lab.take()).toEqual(['B:5', 'F:6', 'B:6']);
  });

  it('#5 #6 the guest unloads its driver and loads it again', async () => {
    const { lab, frontends } = await connected();
    await frontends.close();
    await lab.settle();
    expect(lab.take()).toEqual(['F:5', 'B:5', 'F:6', 'B:6']);
    const again = bindFrontends(lab.domain(1), fakeFrontend('vif'));
    await lab.settle();
    expect(lab.take()).toEqual(['F:1', 'B:2', 'F:4', 'B:4']);
    expect(again.devices).toHaveLength(1);
  });

  it('#7 the frontend directory is made anew while the backend is connected', async () => {
    const { lab, guest, backends } = await backendOnly();
    expect(await show(lab, guest, '4')).toEqual(['B:4']);
    await lab.root.transaction(async (transaction) => {
      await transaction.remove(FE);
      await transaction.write(`${FE}/backend`, BE);
      await transaction.write(`${FE}/backend-id`, '0');
      await transaction.write(`${FE}/state`, '1');
    });
    await lab.settle();
    expect(lab.take()).toEqual(['B:5', 'B:6', 'B:2']);
    expect(backends.devices[0]?.calls).toEqual(['features', 'connect', 'disconnect', 'features']);
  });

  it('#8 the frontend writes 1 while the backend is connected', async () => {
    const { lab, guest } = await backendOnly();
    expect(await show(lab, guest, '4')).toEqual(['B:4']);
    expect(await show(lab, guest, '1')).toEqual(['B:5', 'B:6', 'B:2']);
    expect(await show(lab, guest, '4')).toEqual(['B:4']);
  });

  it('#9 frontend 3 in class vif', async () => {
    const { lab, guest } = await backendOnly();
    expect(await show(lab, guest, '3')).toEqual([]);
    expect(await lab.backendState(1)).toBe('2');
  });

  it.each(['9', 'abc', ''])('#10 the frontend writes "%s"', async (text) => {
    const { lab, guest } = await backendOnly();
    await show(lab, guest, '4');
    expect(await show(lab, guest, text)).toEqual([]);
    expect(await lab.backendState(1)).toBe('4');
    await guest.remove(`${FE}/state`);
    await lab.settle();
    expect(lab.take()).toEqual(['B:5', 'B:6']);
  });

  const REFUSALS: readonly [row: string, nodes: Record<string, string>, script: Script, error: string][] = [
    [
      '#11 request-rx-copy missing',
      {},
      async (call, link) => {
        if (call !== 'connect' || (await link.readPeer('request-rx-copy')) === '1') return;
        throw new DeviceError('EOPNOTSUPP', 'request-rx-copy is missing');
      },
      '95 request-rx-copy is missing',
    ],
    ...['x12', '4294967296', '-1'].map((value): [string, Record<string, string>, Script, string] => [
      `#12 tx-ring-ref ${value}`,
      { 'tx-ring-ref': value },
      readNumber('tx-ring-ref'),
      '22 tx-ring-ref is not a decimal number from 0 to 4294967295',
    ]),
    [
      '#13 port already bound',
      { 'event-channel': '3' },
      (call) => {
        if (call === 'connect') throw new DeviceError('EINVAL', 'port 3 cannot be bound');
      },
      '22 port 3 cannot be bound',
    ],
    ...['9', '0'].map((value): [string, Record<string, string>, Script, string] => [
      `#14 multi-queue-num-queues ${value}`,
      { 'multi-queue-num-queues': value },
      async (call, link) => {
        if (call !== 'connect') return;
        const queues = requireDecimal('queues', await link.readPeer('multi-queue-num-queues'), 8);
        if (queues === 0) throw new DeviceError('EINVAL', 'queues is not a decimal number from 0 to 8');
      },
      '22 queues is not a decimal number from 0 to 8',
    ]),
  ];

  it.each(REFUSALS)('%s', async (_row, nodes, script, error) => {
    const { lab, guest, backends } = await backendOnly('vif', script);
    for (const [node, value] of Object.entries(nodes)) await guest.write(`${FE}/${node}`, value);
    expect(await show(lab, guest, '4')).toEqual(['B:5']);
    expect(await lab.root.tryRead(ERROR)).toBe(error);
    expect(backends.devices[0]?.held).toBe(false);
    expect(await show(lab, guest, '6')).toEqual(['B:6']);
    await guest.remove(`${FE}/event-channel`).catch(() => {});
  });

  it('#13 other devices are unaffected', async () => {
    const lab = await startLab([0, 1, 2]);
    bindBackends(
      lab.domain(0),
      fakeBackend('vif', (call, link) => {
        if (call === 'connect' && link.peer === 1) throw new DeviceError('EINVAL', 'port 3 cannot be bound');
      }),
    );
    bindFrontends(lab.domain(1), fakeFrontend('vif'));
    bindFrontends(lab.domain(2), fakeFrontend('vif'));
    const toolstack = lab.toolstack();
    const first = expect(toolstack.attach(GUEST, {})).rejects.toThrow('22 port 3 cannot be bound');
    await toolstack.attach(lab.domain(2).id, {});
    await first;
    await lab.settle();
    expect(await lab.backendState(2)).toBe('4');
    expect(await lab.backendState(1)).toBeUndefined();
  });

  it('#15 the frontend directory is removed while the backend is connected', async () => {
    const { lab, backends, frontends } = await connected();
    const [backend] = backends.devices;
    const [frontend] = frontends.devices;
    await lab.root.remove(FE);
    await lab.settle();
    expect(lab.take()).toEqual(['B:5', 'B:6']);
    expect(backend?.calls.at(-1)).toBe('removed');
    expect(frontend?.calls.at(-1)).toBe('removed');
    expect(await lab.frontendState(1)).toBeUndefined();
  });

  it('#16 the backend directory is removed while the frontend is connected', async () => {
    const { lab, backends, frontends } = await connected();
    const [backend] = backends.devices;
    await lab.root.remove(BE);
    await lab.settle();
    expect(lab.take()).toEqual(['F:6']);
    expect(frontends.devices[0]?.held).toBe(false);
    expect(backend?.calls.slice(-2)).toEqual(['disconnect', 'removed']);
  });

  it('#16 nothing is written when the frontend is gone too', async () => {
    const { lab, frontends } = await connected();
    await lab.root.transaction(async (transaction) => {
      await transaction.remove(BE);
      await transaction.remove(FE);
    });
    await lab.settle();
    expect(lab.take()).toEqual([]);
    expect(frontends.devices).toEqual([]);
  });

  it.each(['1', '2', '3', '4', '5', '6'])(
    '#17 spurious events while the frontend shows %s',
    async (state) => {
      const { lab, guest, backends } = await backendOnly();
      await show(lab, guest, state);
      const calls = backends.devices[0]?.calls.length;
      const own = await lab.root.read(`${BE}/state`);
      for (let round = 0; round < 3; round++) {
        await lab.root.write(`${BE}/state`, own);
        expect(await show(lab, guest, state)).toEqual([]);
      }
      expect(backends.devices[0]?.calls.length).toBe(calls);
    },
  );

  it('#18 a state write that meets EAGAIN is there once', async () => {
    const lab = await startLab();
    const writes: string[] = [];
    await lab.root.write('/x/state', '1');
    const store = lab.client(0);
    let interfered = 0;
    const clashing: XenStore = Object.assign(Object.create(store), {
      transaction: <Result>(body: Parameters<typeof store.transaction<Result>>[0]) =>
        store.transaction(async (transaction) => {
          const result = await body(transaction);
          if (interfered++ < 3) await lab.root.write('/x/state', '1');
          return result;
        }),
    });
    const watch = lab.root.watch('/x/state').subscribe(() => {
      void lab.root.read('/x/state').then((text) => writes.push(text));
    });
    expect(await writeState(clashing, '/x', { state: XenbusState.InitWait })).toBe('written');
    await lab.settle();
    watch.unsubscribe();
    expect(interfered).toBe(4);
    expect(writes.filter((text) => text === '2')).toHaveLength(1);
  });

  it('#19 a state write after the directory was removed', async () => {
    const lab = await startLab();
    expect(await writeState(lab.client(0), '/nowhere', { state: XenbusState.Closed })).toBe('vanished');
    await expect(lab.root.read('/nowhere')).rejects.toBeInstanceOf(XenStoreError);
  });

  it('#20 the guest rewrites its backend node', async () => {
    const { lab, backends, frontends } = await connected();
    await lab.client(1).write(`${FE}/backend`, '/local/domain/0/backend/vif/2/0');
    await lab.settle();
    expect(lab.take()).toEqual([]);
    expect(frontends.devices[0]?.link.peerPath).toBe(BE);
    expect(backends.devices[0]?.calls).toEqual(['features', 'connect']);
  });

  it('#21 the hotplug script fails', async () => {
    const lab = await startLab();
    bindBackends(lab.domain(0), fakeBackend('vif'), { hotplug: 'script' });
    bindFrontends(lab.domain(1), fakeFrontend('vif'));
    await lab.settle();
    const before = lab.residue();
    const seen: (string | undefined)[] = [];
    const toolstack = lab.toolstack({
      hotplug: async ({ action, environment }) => {
        if (action === 'offline') {
          seen.push(
            await lab.root.tryRead(`${BE}/hotplug-status`),
            await lab.root.tryRead(`${BE}/hotplug-error`),
          );
        }
        if (action === 'online') throw new Error(`no bridge for ${environment.vif}`);
      },
    });
    await expect(toolstack.attach(GUEST, {})).rejects.toMatchObject({ code: 'hotplug' });
    await lab.settle();
    expect(seen).toEqual(['error', 'no bridge for vif1.0']);
    expect(lab.take()).not.toContain('B:4');
    expect(lab.residue()).toEqual(before);
  });

  it('the hotplug gate: 4 is shown once the script has run', async () => {
    const lab = await startLab();
    bindBackends(lab.domain(0), fakeBackend('vif'), { hotplug: 'script' });
    bindFrontends(lab.domain(1), fakeFrontend('vif'));
    let go = () => {};
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    const attached = lab.toolstack({ hotplug: () => gate }).attach(GUEST, {});
    await lab.settle();
    expect(lab.take()).toEqual(['T:F:1', 'T:B:1', 'B:2', 'F:4']);
    go();
    await attached;
    expect(lab.take()).toEqual(['B:4']);
  });

  it('#22 suspend and resume in a new domain id', async () => {
    const lab = await startLab([0, 1, 2]);
    bindBackends(lab.domain(0), fakeBackend('vif'));
    bindFrontends(lab.domain(1), fakeFrontend('vif'));
    const toolstack = lab.toolstack();
    const { mac } = await toolstack.attach(GUEST, {});
    await toolstack.detach(GUEST, 'vif', 0, { force: true });
    await lab.settle();
    lab.take();
    const moved = bindFrontends(lab.domain(2), fakeFrontend('vif'));
    const entry = await toolstack.attach(lab.domain(2).id, mac === undefined ? {} : { mac });
    expect(lab.take()).toEqual(['T:F:1', 'T:B:1', 'B:2', 'F:4', 'B:4']);
    expect(entry.mac).toBe(mac);
    expect(moved.devices).toHaveLength(1);
  });

  it('#22 resume in place: everything is built again', async () => {
    const { lab, frontends } = await connected();
    const [old] = frontends.devices;
    frontends.resume();
    await lab.settle();
    expect(lab.take()).toEqual(['F:1', 'B:5', 'B:6', 'B:2', 'F:4', 'B:4']);
    expect(old?.calls.at(-1)).toBe('removed');
    expect(frontends.devices).toHaveLength(1);
  });

  it('#23 a cancelled suspend changes nothing', async () => {
    const { lab } = await connected();
    await lab.root.write('/local/domain/1/control/shutdown', 'suspend');
    await lab.root.write('/local/domain/1/control/shutdown', '');
    await lab.settle();
    expect(lab.take()).toEqual([]);
  });

  it('#24 vif2: the frontend crashes before its own 4', async () => {
    const { lab, backends } = await backendOnly('vif2');
    const path = '/local/domain/1/device/vif2/0';
    await lab.client(1).write(`${path}/state`, '3');
    await lab.settle();
    expect(lab.take()).toEqual(['B:4']);
    await lab.root.remove(path);
    await lab.settle();
    expect(lab.take()).toEqual(['B:5', 'B:6']);
    expect(backends.devices).toEqual([]);
  });

  it('#25 vif2 falls back to vif', async () => {
    const lab = await startLab();
    bindBackends(lab.domain(0), fakeBackend('vif'));
    const frontends = bindFrontends(lab.domain(1), fakeFrontend('vif'));
    const toolstack = lab.toolstack();
    const mac = '00:16:3e:01:02:03';
    const attached = toolstack.attach(GUEST, { type: 'vif2', fallback: true, number: 3, mac });
    await lab.advance(10_000);
    const entry = await attached;
    expect(lab.take()).toEqual(['T:F:1', 'T:B:1', 'T:F:1', 'T:B:1', 'B:2', 'F:4', 'B:4']);
    expect(entry).toMatchObject({ type: 'vif', number: 3, mac, requestedType: 'vif2' });
    expect((await toolstack.list()).map(({ type }) => type)).toEqual(['vif']);
    expect(await lab.root.tryRead('/local/domain/1/device/vif2')).toBeUndefined();
    expect(frontends.devices).toHaveLength(1);
  });

  it('a driver domain serves and clears its own directory', async () => {
    const lab = await startLab([0, 1, 2]);
    const driverDomain = lab.domain(2);
    bindBackends(driverDomain, fakeBackend('vif'));
    bindFrontends(lab.domain(1), fakeFrontend('vif'));
    await lab.settle();
    const before = lab.residue();
    const toolstack = lab.toolstack();
    await toolstack.attach(GUEST, { backend: driverDomain.id });
    expect(await lab.backendState(1, 0, 'vif', 2)).toBe('4');
    await toolstack.detach(GUEST, 'vif', 0);
    await lab.settle();
    expect(lab.residue()).toEqual(before);
    expect(DOM0).toBe(0);
  });
});

function readNumber(node: string): Script {
  return async (call, link) => {
    if (call === 'connect') requireDecimal(node, await link.readPeer(node));
  };
}
