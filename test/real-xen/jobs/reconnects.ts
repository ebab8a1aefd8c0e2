/** What happens to a guest's device without the guest ending: its driver let go and came back, and the whole guest moved. */
import { existsSync } from 'node:fs';
import { it } from 'node:test';
import { expect } from 'vitest';
import type { Guest } from './guest';
import { pingLoss, SteadyPing } from './ping';
import { run, textOf, until } from './programs';
import { openEcho, poke, tcpEcho } from './traffic';

const REBIND = 103;
const SAVED = '/tmp/saved-guest';
/** How the Xen that runs here was built. */
const XEN_CONFIG = '/opt/lab/xen.config';
/** A PV guest's writes are logged by shadow paging alone, which Debian's Xen is built without since XSA-495. */
const NO_LOG_DIRTY = '# CONFIG_SHADOW_PAGING is not set';
const timeout = 600_000;

/** A ping going on and a TCP connection open while something happens to a guest. */
async function watched(guest: Guest, what: string, happen: () => Promise<void>): Promise<void> {
  const ping = new SteadyPing(guest.address);
  const echo = await openEcho(guest.address);
  expect(await echo.exchange(1 << 16)).toBe(true);
  await ping.goesOn(3);
  await happen();
  await ping.goesOn();
  // The connection opened before lives on.
  expect(await echo.exchange(1 << 18)).toBe(true);
  echo.close();
  console.log(`${what}: ${await ping.stop()}`);
  expect(await pingLoss(guest.address, 10)).toBe(0);
}

/** Runs what moves a guest: it becomes another domain, with a TAP of its own. */
async function moved(guest: Guest, what: string, move: () => Promise<void>): Promise<void> {
  const before = await guest.domid();
  await watched(guest, `${what}, domain ${before} is another now`, async () => {
    await move();
    const now = await guest.domid();
    expect(now).not.toBe(before);
    expect(existsSync(`/sys/class/net/vif${now}.0`)).toBe(true);
    await until('the old TAP to go', 30, () =>
      existsSync(`/sys/class/net/vif${before}.0`) ? undefined : true,
    );
  });
}

const migrate = (name: string): Promise<string> => run('xl', 'migrate', '-s', '', name, 'xl migrate-receive');

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

  const refuses = textOf(XEN_CONFIG).includes(NO_LOG_DIRTY);

  it('goes on after a live migration, here from this host to itself', {
    timeout,
    skip: refuses && 'this Xen is built without CONFIG_SHADOW_PAGING, and moves no PV guest while it runs',
  }, async () => {
    const { name } = guest();
    await moved(guest(), 'migrated', async () => {
      await migrate(name);
    });
  });

  it('stays as it is where Xen refuses to migrate it live', {
    timeout,
    skip: !refuses && 'this Xen migrates a running PV guest',
  }, async () => {
    const before = await guest().domid();
    await watched(guest(), 'migration refused', async () => {
      const said = await migrate(guest().name).catch(String);
      expect(said).toContain('Failed to enable logdirty');
      expect(await guest().domid()).toBe(before);
    });
  });
}
