import { setImmediate } from 'node:timers/promises';
import { bindFrontends, Toolstack } from '@netchannel2/device-registry';
import { Machine } from '@netchannel2/hypervisor';
import { netfrontDriver } from '@netchannel2/netfront';
import { type TapFile, TapPort } from '@netchannel2/tap';
import { describe, expect, it } from 'vitest';
import type { HostNetwork } from './host-network';
import { GuestServer, type GuestServerOptions } from './serve-guests';

const EAGAIN = -11;

/** A host whose network only writes down what it is told, with one guest. */
function host(change: Partial<GuestServerOptions> = {}) {
  const machine = Machine.boot({ memoryBytes: 64 << 20 });
  const dom0 = machine.createDomain({ name: 'dom0', memoryPages: 4096 });
  const guest = machine.createDomain({ name: 'guest', memoryPages: 2048 });
  const log: string[] = [];
  const network: HostNetwork = {
    plug: async (name, mtu, bridge) => {
      log.push(`plug ${name} ${mtu} ${bridge}`);
    },
    script: async (path, action, environment) => {
      log.push(`${path} ${action} ${environment.vif} ${environment.XENBUS_PATH}`);
    },
  };
  const taps: TapPort[] = [];
  const openTap: NonNullable<GuestServerOptions['openTap']> = (name, memory, offloads) => {
    log.push(`open ${name}`);
    const file: TapFile = {
      name,
      offloads,
      read: () => EAGAIN,
      write: () => 1,
      setCarrier: (up) => log.push(`${name} ${up ? 'has' : 'has no'} carrier`),
      whenReadable: () => ({ close: () => {} }),
      close: () => log.push(`close ${name}`),
    };
    const tap = new TapPort({ name, memory, file });
    taps.push(tap);
    return tap;
  };
  const server = new GuestServer(dom0, {
    guests: 'all',
    bridge: 'xenbr0',
    offloads: true,
    hotplug: 'none',
    network,
    log: () => {},
    openTap,
    ...change,
  });
  const frontends = bindFrontends(guest, netfrontDriver());
  const toolstack = new Toolstack(dom0.store, { hotplug: () => Promise.resolve() });
  /** A domain's home is there a little after the domain. */
  const booted = async () => {
    while ((await dom0.store.tryRead(`/local/domain/${guest.id}`)) === undefined) await setImmediate();
  };
  const attach = async () => {
    await booted();
    await toolstack.attach(guest.id, { type: 'vif', mtu: 9000, script: '/etc/xen/scripts/vif-bridge' });
    await machine.idle();
  };
  const close = async () => {
    await Promise.all([frontends.close(), server.close()]);
    machine.shutdown();
  };
  return { machine, dom0, guest, log, taps, server, frontends, toolstack, booted, attach, close };
}

describe('GuestServer', () => {
  it('gives each device a TAP of its name, plugs it in, and takes it away with the device', async () => {
    const { machine, guest, log, taps, frontends, toolstack, attach, close } = host();
    await attach();
    expect(log).toContain('open vif1.0');
    expect(log).toContain('plug vif1.0 9000 xenbr0');
    expect(log).toContain('vif1.0 has carrier');
    frontends.devices[0]?.send(new Uint8Array(60));
    frontends.devices[0]?.flush();
    await machine.idle();
    expect(taps[0]?.counters.framesSent).toBe(1);
    await toolstack.detach(guest.id, 'vif', 0);
    await machine.idle();
    expect(log.at(-1)).toBe('close vif1.0');
    await close();
  });

  it('says what went through a device when it is gone', async () => {
    const said: string[] = [];
    const { machine, guest, frontends, toolstack, attach, close } = host({ log: (line) => said.push(line) });
    await attach();
    frontends.devices[0]?.send(new Uint8Array(60));
    frontends.devices[0]?.flush();
    await machine.idle();
    await toolstack.detach(guest.id, 'vif', 0);
    await machine.idle();
    await close();
    expect(said).toContain('vif1.0: gone; sent 0 frames, received 1; its TAP sent 1 frames, received 0');
  });

  it('leaves the devices of other guests alone', async () => {
    const { guest, server, close } = host();
    await close();
    expect(server.devices).toEqual([]);
    const picky = host({ guests: guest.id });
    await picky.attach();
    expect(picky.server.devices).toHaveLength(1);
    await picky.close();
  });

  it('runs the script the toolstack named where it is asked to', async () => {
    const { guest, log, toolstack, attach, close } = host({ hotplug: 'script' });
    await attach();
    const script = '/etc/xen/scripts/vif-bridge';
    expect(log).toContain(`${script} online vif1.0 backend/vif/1/0`);
    await toolstack.detach(guest.id, 'vif', 0);
    await close();
    expect(log.filter((line) => line.startsWith('close'))).toHaveLength(1);
  });

  it('connects a device only when its host side is plugged in, and says why it is not', async () => {
    const scripts: ((error?: Error) => void)[] = [];
    /** Waits for the script to be run, and ends it. */
    const endScript = async (error?: Error) => {
      while (scripts.length === 0) await setImmediate();
      await machine.idle();
      expect(log).not.toContain('vif1.1 has carrier');
      scripts.shift()?.(error);
    };
    const { machine, dom0, log, guest, frontends, booted, close } = host({
      hotplug: 'script',
      network: {
        plug: () => Promise.resolve(),
        script: (_path, action) =>
          action === 'offline'
            ? Promise.resolve()
            : new Promise((resolve, reject) => {
                scripts.push((error) => (error === undefined ? resolve() : reject(error)));
              }),
      },
    });
    // As beside a driver domain, this one plugs nothing in.
    const toolstack = new Toolstack(dom0.store);
    await booted();
    const attached = toolstack.attach(guest.id, { type: 'vif', script: '/etc/xen/scripts/vif-bridge' });
    while (scripts.length === 0) await setImmediate();
    await machine.idle();
    expect(log).not.toContain('vif1.0 has carrier');
    await endScript();
    await attached;
    await machine.idle();
    expect(log).toContain('vif1.0 has carrier');
    expect(frontends.devices).toHaveLength(1);
    const failed = toolstack.attach(guest.id, { type: 'vif', script: '/etc/xen/scripts/vif-bridge' });
    // Looked at before it fails, or the rejection would have nobody.
    const refused = expect(failed).rejects.toThrow(/no bridge here/);
    await endScript(new Error('no bridge here'));
    await refused;
    await close();
  });

  it('gives a device up whose TAP cannot be made, and says so', async () => {
    const said: string[] = [];
    const { server, machine, attach, close } = host({
      log: (line) => said.push(line),
      openTap: () => {
        throw new Error('no TAP today');
      },
    });
    await attach().catch(() => undefined);
    await machine.idle();
    expect(said).toContain('vif1.0: no TAP today');
    expect(server.devices).toEqual([]);
    await close();
  });
});
