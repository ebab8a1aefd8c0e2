/** `nc2 grants` on a running simulation, over nothing but its sockets. */
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GrantTableRecord } from '@netchannel2/hypervisor';
import { connectXenStore } from '@netchannel2/xenstore';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nc2, type RunningCommand, start } from '../xenstore/running-command';

let directory: string;
let socket: string;
let simulation: RunningCommand;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'nc2-grants-'));
  socket = join(directory, 'socket');
  simulation = start('simulate', '--guests', '1', '--vif', 'type=vif', '--socket', socket);
  expect(await simulation.ready).toContain('xenstore on');
});
afterAll(() => rmSync(directory, { recursive: true }));

const grants = (...words: string[]) => nc2('grants', ...words, '--socket', socket);

/** What the socket answers to a request of any kind. */
function ask(request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const client = createConnection({ path: `${socket}.grants` }, () => client.write(request));
    client.on('data', (chunk) => {
      answer += String(chunk);
    });
    client.on('error', reject);
    client.on('close', () => resolve(answer));
  });
}

describe('nc2 grants', () => {
  it('prints the rings a backend has mapped', async () => {
    const { code, out, error } = await grants('guest1');
    expect({ code, error }).toEqual({ code: 0, error: '' });
    expect(out).toMatch(
      /^grant table of guest1 \(d1\), version 2\n {2}\d+ frames \(64 max\), \d+ status frames, /,
    );
    const used = out.split('\n').filter((line) => line.includes('hw:'));
    expect(used.length).toBeGreaterThanOrEqual(2);
    for (const line of used)
      expect(line).toMatch(/^0x\w+ +access +0x01 +d0 +0x\w+ +- +reading,writing +hw:1 +d0 +0x/);
  });

  it('prints the same for machines, by id', async () => {
    const { code, out } = await grants('1', '--json');
    expect(code).toBe(0);
    const table = JSON.parse(out) as GrantTableRecord & { domain: number };
    expect(table).toMatchObject({ domain: 1, version: 2, maxFrames: 64 });
    expect(table.entries.filter(({ use }) => use !== undefined)).not.toEqual([]);
  });

  it('counts the mappings of dom0 in its own table', async () => {
    const { mappings } = JSON.parse((await grants('0', '--json')).out) as GrantTableRecord;
    expect(mappings).toBeGreaterThanOrEqual(2);
  });

  it('refuses a domain that is not there, naming those that are', async () => {
    expect(await grants('guest9')).toEqual({
      code: 2,
      out: '',
      error: 'nc2: there is no domain "guest9"; there are dom0 (0), guest1 (1)\n',
    });
    expect((await nc2('grants')).code).toBe(2);
  });

  it('says what serves the tables where nobody does', async () => {
    const missing = join(directory, 'nobody');
    expect(await nc2('grants', '1', '--socket', missing)).toMatchObject({
      code: 2,
      error: `nc2: no xenstore answers at ${missing}: ENOENT\n`,
    });
    const alone = join(directory, 'alone');
    const daemon = start('xenstored', '--socket', alone);
    await daemon.ready;
    const store = await connectXenStore({ path: alone });
    await store.write('/local/domain/0/name', 'dom0');
    store.close();
    const answer = await nc2('grants', 'dom0', '--socket', alone);
    await daemon.stop();
    expect(answer).toMatchObject({
      code: 2,
      error: `nc2: no simulation shows grant tables at ${alone}.grants: ENOENT; nc2 simulate does, beside its xenstore\n`,
    });
  });

  it('its socket is the owner’s alone, and hangs up on nonsense', async () => {
    expect(statSync(`${socket}.grants`).mode & 0o777).toBe(0o600);
    expect(await ask('99\n')).toBe('null\n');
    for (const nonsense of ['\n', '-1\n', '1\n1\n', 'xxxxxxxxxxxxxxxxxxxxxxx', '123456']) {
      expect(await ask(nonsense)).toBe('');
    }
  });

  it('is gone when the simulation is, also while somebody is connected', async () => {
    const held = createConnection({ path: `${socket}.grants` });
    const hungUp = new Promise((resolve) => held.on('close', resolve));
    held.on('error', () => undefined);
    await new Promise((resolve) => held.on('connect', resolve));
    // Connections are accepted in order: after this one, the one above is the simulation's.
    expect(await ask('99\n')).toBe('null\n');
    expect(await simulation.stop()).toBe(0);
    await hungUp;
    expect([existsSync(socket), existsSync(`${socket}.grants`)]).toEqual([false, false]);
  });
});
