/** Our netback, as `nc2 netback`, serves Linux guests on real Xen. */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { expect } from 'vitest';
import { domains, Guest } from './guest';
import { pingLoss } from './ping';
import { Companion, run, until } from './programs';
import { describeReconnects } from './reconnects';
import { poke, tcpEcho, tcpRecall, tcpSend, udpEcho, udpGather, udpScatter } from './traffic';

const HOST = '10.0.0.1';
const REBOOT = 101;
const CRASH = 102;
const MEBI = 1 << 20;
const timeout = 600_000;

const vif = (last: number, more = ''): string => `mac=00:16:3e:00:00:0${last},script=vif-plugged${more}`;
const sumOf = (bytes: Buffer): string => createHash('md5').update(bytes).digest('hex');
const hasInterface = (name: string): boolean => existsSync(`/sys/class/net/${name}`);
const backends = async (): Promise<string> =>
  run('xenstore-ls', '-f', '/local/domain/0/backend').catch(() => '');

/** Datagrams of a transfer. */
const DATAGRAMS = 500;
const ECHOES = 200;
const ECHO_BYTES = 1 << 16;

/** Ping, TCP and UDP both ways; what the other end computed is compared with what was sent. */
function describeTraffic(guest: () => Guest, largestDatagram: number, datagram = largestDatagram): void {
  // What the guest keeps of it is sent back by TCP and by UDP.
  const bulk = randomBytes(DATAGRAMS * datagram);

  it('answers pings without a loss', { timeout }, async () => {
    expect(await pingLoss(guest().address, 20)).toBe(0);
  });

  it('carries TCP to the guest and back unchanged', { timeout }, async () => {
    expect(await tcpEcho(guest().address, MEBI / 2)).toBe(true);
  });

  it('carries bulk TCP to the guest: it computes the same sum', { timeout }, async () => {
    const sum = await tcpSend(guest().address, bulk);
    await guest().says(sum, 1, 60);
  });

  it('carries bulk TCP from the guest: the same sum', { timeout }, async () => {
    expect(await tcpRecall(guest().address)).toBe(sumOf(bulk));
  });

  it(`carries ${ECHOES} UDP datagrams of all sizes there and back, each unchanged`, {
    timeout,
  }, async () => {
    // As many in flight as a socket of the guest surely holds: what its kernel counts for one is more than its bytes.
    const window = Math.min(16, Math.floor(ECHO_BYTES / largestDatagram));
    expect(await udpEcho(guest().address, ECHOES, largestDatagram, window)).toBe(ECHOES);
  });

  it(`carries ${DATAGRAMS} UDP datagrams to the guest as fast as its TAP takes them`, {
    timeout,
  }, async () => {
    const tap = `vif${await guest().domid()}.0`;
    expect(await udpGather(guest().address, tap, DATAGRAMS, datagram)).toBe(DATAGRAMS);
  });

  it(`carries ${DATAGRAMS} UDP datagrams that the guest sends as fast as it can`, { timeout }, async () => {
    expect(await udpScatter(guest().address, HOST, bulk, datagram)).toBe(DATAGRAMS);
  });
}

let server: Companion;
let first: Guest;
let second: Guest;

before(async () => {
  await run('ip', 'link', 'add', 'xenbr0', 'type', 'bridge');
  // Set once it exists: only then does the bridge keep its MTU when a port with a smaller one joins.
  await run('ip', 'link', 'set', 'xenbr0', 'mtu', '9000');
  await run('ip', 'addr', 'add', `${HOST}/24`, 'dev', 'xenbr0');
  await run('ip', 'addr', 'add', '10.0.1.1/24', 'dev', 'xenbr0');
  await run('ip', 'link', 'set', 'xenbr0', 'up');
  server = new Companion('node', 'bin/nc2.mjs', 'netback', '--backend-of', 'all', '--bridge', 'xenbr0');
  await server.said('serving all guests');
});

after(async () => {
  console.log(server.lines.join('\n'));
  await server.stop();
  // Its addresses would take the answers of whoever comes next.
  await run('ip', 'link', 'del', 'xenbr0');
});

describe('nc2 netback, a guest on grant table version 1', () => {
  it('is attached by xl create and comes up', { timeout }, async () => {
    first = await Guest.create({
      name: 'first',
      host: 2,
      vifs: [vif(1)],
      grantTable: 1,
      pings: HOST,
      onReboot: 'restart',
      words: 'lab_ip1=10.0.1.2/24',
    });
    await first.says('GUEST-READY');
    expect(first.said).toContain('Grant tables using version 1 layout');
    expect(hasInterface(`vif${await first.domid()}.0`)).toBe(true);
  });

  it('lets the guest ping the host without a loss', () => {
    expect(first.said).toContain('GUEST-PING lost=0\n');
  });

  describeTraffic(() => first, 1400);

  it('does nothing while nothing happens: no loop, no timer', { timeout }, async () => {
    const before = server.sleeps;
    await setTimeout(5000);
    // A bridge has some words of its own to say; a loop or a short timer would count in thousands.
    expect(server.sleeps - before).toBeLessThan(100);
  });
});

describe('nc2 netback, a guest on grant table version 2 with an MTU of 9000', () => {
  it('comes up and pings the other guest over the bridge without a loss', { timeout }, async () => {
    second = await Guest.create({
      name: 'second',
      host: 3,
      vifs: [vif(2, ',mtu=9000')],
      mtu: 9000,
      grantTable: 2,
      pings: '10.0.0.2',
    });
    await second.says('GUEST-READY');
    expect(second.said).toContain('Grant tables using version 2 layout');
    expect(second.said).toContain('GUEST-PING lost=0\n');
  });

  it('carries whole frames of 9014 bytes', { timeout }, async () => {
    expect(await pingLoss(second.address, 20, 8972)).toBe(0);
  });

  // Datagrams in bulk that no page holds whole.
  describeTraffic(() => second, 8900, 4400);
});

describe('nc2 netback, devices that come and go', () => {
  it('attaches and detaches a second device of a running guest, again and again', { timeout }, async () => {
    const domid = await first.domid();
    for (let round = 0; round < 2; round++) {
      await run('xl', 'network-attach', 'first', vif(5));
      expect(hasInterface(`vif${domid}.1`)).toBe(true);
      await until('an answer from the second interface', 60, async () =>
        (await pingLoss('10.0.1.2', 1)) === 0 ? true : undefined,
      );
      expect(await pingLoss('10.0.1.2', 5)).toBe(0);
      await run('xl', 'network-detach', 'first', '1');
      await until('the TAP to go', 20, () => (hasInterface(`vif${domid}.1`) ? undefined : true));
      expect(await backends()).not.toContain(`/vif/${domid}/1/`);
    }
    expect(await pingLoss(first.address, 5)).toBe(0);
  });

  it('serves a guest again after it rebooted without a word', { timeout }, async () => {
    const before = await first.domid();
    await poke(first.address, REBOOT);
    await first.says('GUEST-READY', 2);
    expect(await first.domid()).not.toBe(before);
    expect(hasInterface(`vif${before}.0`)).toBe(false);
    expect(await pingLoss(first.address, 10)).toBe(0);
    expect(await tcpEcho(first.address, MEBI / 4)).toBe(true);
  });

  describeReconnects(() => first);

  it('lets go of a guest that crashed, and goes on with the other', { timeout }, async () => {
    const domid = await first.domid();
    await poke(first.address, CRASH);
    await until('the guest to be destroyed', 60, async () =>
      (await domains()).includes(domid) ? undefined : true,
    );
    await until('the TAP to go', 20, () => (hasInterface(`vif${domid}.0`) ? undefined : true));
    expect(await pingLoss(second.address, 10)).toBe(0);
  });

  it('ends with its devices closed and nothing left', { timeout }, async () => {
    await second.destroy();
    await until('the TAPs to go', 20, async () =>
      (await run('ip', '-br', 'link')).includes('vif') ? undefined : true,
    );
    expect(await server.stop()).toBe(0);
  });
});
