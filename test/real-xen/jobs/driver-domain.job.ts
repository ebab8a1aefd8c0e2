/**
 * `nc2 netback` as a driver domain runs it: xenstore through the kernel's device, the hotplug script run by itself, no offloads.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { expect } from 'vitest';
import { Guest } from './guest';
import { pingLoss } from './ping';
import { Companion, run, textOf, until } from './programs';
import { tcpEcho, tcpRecall, tcpSend, udpEcho, udpScatter } from './traffic';

const HOST = '10.0.0.1';
const BRIDGE = 'xenbr1';
const CONFIGURATION = '/etc/xen/xl.conf';
const SCRIPT_LOG = '/var/log/xen/vif-plugged.log';
const MEBI = 1 << 20;
const timeout = 600_000;

let configuration = '';
let server: Companion;
let guest: Guest;

before(async () => {
  // libxl leaves the scripts to others, as for a backend that is not in dom0.
  configuration = readFileSync(CONFIGURATION, 'utf8');
  writeFileSync(CONFIGURATION, configuration.replace('run_hotplug_scripts=1', 'run_hotplug_scripts=0'));
  writeFileSync(SCRIPT_LOG, '');
  await run('ip', 'link', 'add', BRIDGE, 'type', 'bridge');
  await run('ip', 'addr', 'add', `${HOST}/24`, 'dev', BRIDGE);
  await run('ip', 'link', 'set', BRIDGE, 'up');
  server = new Companion(
    'env',
    'XENSTORED_PATH=/run/no-such-socket',
    ...['node', 'bin/nc2.mjs', 'netback', '--backend-of', 'all', '--bridge', BRIDGE],
    ...['--hotplug', 'script', '--no-offloads'],
  );
  await server.said('serving all guests');
});

after(async () => {
  console.log(server.lines.join('\n'));
  writeFileSync(CONFIGURATION, configuration);
  await server.stop();
  await run('ip', 'link', 'del', BRIDGE);
});

describe('nc2 netback through /dev/xen/xenbus, --hotplug script, --no-offloads', () => {
  it('serves a guest and runs the script the toolstack named', { timeout }, async () => {
    guest = await Guest.create({
      name: 'driven',
      host: 4,
      vifs: ['mac=00:16:3e:00:00:07,script=vif-plugged'],
      pings: HOST,
    });
    await guest.says('GUEST-READY');
    expect(guest.said).toContain('GUEST-PING lost=0\n');
    expect(textOf(SCRIPT_LOG)).toContain(`online type_if=vif vif=vif${await guest.domid()}.0`);
  });

  it('carries pings, TCP and UDP both ways unchanged', { timeout }, async () => {
    expect(await pingLoss(guest.address, 10)).toBe(0);
    expect(await tcpEcho(guest.address, MEBI / 2)).toBe(true);
    const bulk = randomBytes(500 * 1400);
    const sum = await tcpSend(guest.address, bulk);
    await guest.says(sum);
    expect(await tcpRecall(guest.address)).toBe(sum);
    expect(await udpEcho(guest.address, 100, 1400)).toBe(100);
    expect(await udpScatter(guest.address, HOST, bulk, 1400)).toBe(500);
  });

  it('runs the script again when the guest goes', { timeout }, async () => {
    const name = `vif${await guest.domid()}.0`;
    await guest.destroy();
    await until('the TAP to go', 60, () => (existsSync(`/sys/class/net/${name}`) ? undefined : true));
    await until('the script', 60, () =>
      textOf(SCRIPT_LOG).includes(`offline type_if=vif vif=${name}`) ? true : undefined,
    );
    expect(await server.stop()).toBe(0);
  });
});
