/** What happens to a guest's device without the guest ending: its driver let go and came back, and the whole guest moved. */
import { existsSync } from 'node:fs';
import { it } from 'node:test';
import { expect } from 'vitest';
import type { Guest } from './guest';
import { Companion, run, until } from './programs';
import { openEcho, pingLoss, poke, tcpEcho } from './traffic';

const REBIND = 103;
const SAVED = '/tmp/saved-guest';
const timeout = 600_000;

/** A ping that goes on all the time, as a user of the guest would notice what happens to it. */
class SteadyPing {
  private readonly ping: Companion;

  constructor(address: string) {
    this.ping = new Companion('ping', '-n', '-i', '0.3', address);
  }

  /** Sequence numbers of the answers, in their order. */
  private get answers(): readonly number[] {
    return this.ping.lines.flatMap((line) => {
      const match = /icmp_seq=(\d+) ttl/.exec(line);
      return match === null ? [] : [Number(match[1])];
    });
  }

  /** Waits until `count` pings in a row were answered, all sent from now on. */
  async goesOn(count = 10): Promise<void> {
    const from = this.answers.length;
    await until(`${count} answers in a row after\n${this.ping.lines.slice(-5).join('\n')}`, 120, () => {
      const last = this.answers.slice(from).slice(-count);
      const first = last[0];
      return first !== undefined && last.length === count && last[count - 1] === first + count - 1
        ? true
        : undefined;
    });
  }

  async stop(): Promise<string> {
    await this.ping.stop('SIGINT');
    return this.ping.lines.find((line) => line.includes('packets transmitted')) ?? '';
  }
}

/** Runs what moves a guest, with a ping going on and a TCP connection open all the time. */
async function moved(guest: Guest, what: string, move: () => Promise<void>): Promise<void> {
  const before = await guest.domid();
  const ping = new SteadyPing(guest.address);
  const echo = await openEcho(guest.address);
  expect(await echo.exchange(1 << 16)).toBe(true);
  await ping.goesOn(3);
  await move();
  const now = await guest.domid();
  expect(now).not.toBe(before);
  expect(existsSync(`/sys/class/net/vif${now}.0`)).toBe(true);
  await until('the old TAP to go', 30, () =>
    existsSync(`/sys/class/net/vif${before}.0`) ? undefined : true,
  );
  await ping.goesOn();
  // The connection opened before lives on.
  expect(await echo.exchange(1 << 18)).toBe(true);
  echo.close();
  console.log(`${what}, domain ${before} became ${now}: ${await ping.stop()}`);
  expect(await pingLoss(guest.address, 10)).toBe(0);
}

export function describeReconnects(guest: () => Guest): void {
  it('connects again when the guest takes its driver away and back', { timeout }, async () => {
    const domid = await guest().domid();
    const ping = new SteadyPing(guest().address);
    await ping.goesOn(3);
    await poke(guest().address, REBIND);
    await guest().says('GUEST-REBOUND');
    await ping.goesOn();
    await ping.stop();
    expect(await guest().domid()).toBe(domid);
    expect(await pingLoss(guest().address, 10)).toBe(0);
    expect(await tcpEcho(guest().address, 1 << 18)).toBe(true);
  });

  it('goes on after the guest was saved and restored', { timeout }, async () => {
    const { name } = guest();
    await moved(guest(), 'saved and restored', async () => {
      await run('xl', 'save', name, SAVED);
      await run('xl', 'restore', SAVED);
      await run('rm', '-f', SAVED);
    });
  });

  it('goes on after a live migration, here from this host to itself', { timeout }, async () => {
    const { name } = guest();
    await moved(guest(), 'migrated', async () => {
      await run('xl', 'migrate', '-s', '', name, 'xl migrate-receive');
    });
  });
}
