import { mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { XenStoreError } from '@netchannel2/xen';
import { firstValueFrom, skip, take, toArray } from 'rxjs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { XenStoreServer } from './server';
import { connectXenStore } from './socket-client';
import { listenOnSocket, xenStoreSocketPath } from './unix-socket';

let directory = '';
let path = '';
const cleanUps: (() => unknown)[] = [];

beforeEach(() => {
  directory = mkdtempSync('/tmp/xenstore-test-');
  path = join(directory, 'socket');
});

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  rmSync(directory, { recursive: true, force: true });
});

async function daemon(
  server = new XenStoreServer(),
): Promise<{ server: XenStoreServer; stop: () => Promise<void> }> {
  const listener = await listenOnSocket(server, path);
  const stop = async () => {
    server.close();
    await listener.close();
  };
  cleanUps.push(stop);
  return { server, stop };
}

async function client(options: Parameters<typeof connectXenStore>[0] = {}) {
  const connected = await connectXenStore({ path, ...options });
  cleanUps.push(() => connected.close());
  return connected;
}

describe('the unix socket', () => {
  it('serves clients and keeps strangers out', async () => {
    const { server } = await daemon();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const [one, two] = [await client(), await client()];
    const event = firstValueFrom(one.watch('/a').pipe(skip(1)));
    await two.write('/a/b', 'value');
    expect(await event).toEqual({ path: '/a/b' });
    expect(await one.read('/a/b')).toBe('value');
    expect(server.statistics().connections).toBe(2);
  });

  it('answers a long pipeline in order', async () => {
    await daemon();
    const store = await client();
    const values = Array.from({ length: 5000 }, (_, index) => `${index}`);
    await Promise.all(values.map((value) => store.write(`/p/${value}`, value)));
    expect(await Promise.all(values.map((value) => store.read(`/p/${value}`)))).toEqual(values);
  });

  it('replaces a stale socket, but neither a live one nor a file', async () => {
    const { stop } = await daemon();
    await expect(listenOnSocket(new XenStoreServer(), path)).rejects.toThrow('Another daemon');
    await stop();
    const stale: Server = createServer();
    await new Promise<void>((resolve) => stale.listen(path, resolve));
    // Renamed away, the socket stays behind when its server closes.
    renameSync(path, `${path}.moved`);
    await new Promise((resolve) => stale.close(resolve));
    renameSync(`${path}.moved`, path);
    const { server } = await daemon();
    await (await client()).write('/a', '1');
    expect(server.statistics().requests).toBe(1);

    const file = join(directory, 'file');
    writeFileSync(file, '');
    await expect(listenOnSocket(new XenStoreServer(), file)).rejects.toThrow('not a socket');
    await expect(listenOnSocket(new XenStoreServer(), `/tmp/${'x'.repeat(120)}`)).rejects.toThrow(
      'longer than 107',
    );
  });

  it('a client that goes takes its watches and transactions along, nothing else', async () => {
    const { server } = await daemon();
    const [one, two] = [await client(), await client()];
    await one.write('/stays', '1');
    one.watch('/stays').subscribe();
    await one.request('TRANSACTION_START', '');
    const before = server.statistics();
    expect(before).toMatchObject({ watches: 1, transactions: 1 });
    one.close();
    while (server.statistics().connections > 1) await new Promise((resolve) => setImmediate(resolve));
    expect(server.statistics()).toMatchObject({ watches: 0, transactions: 0, nodes: before.nodes });
    expect(await two.read('/stays')).toBe('1');
  });

  it('a client with a policy comes back with its watches', async () => {
    const server = new XenStoreServer();
    const first = await daemon(server);
    const store = await client({ reconnect: { delay: () => 1 } });
    const events = firstValueFrom(store.watch('/a').pipe(take(3), toArray()));
    await store.write('/b', '1');
    await first.stop();
    await expect(
      (async () => {
        for (;;) await store.read('/b');
      })(),
    ).rejects.toBeInstanceOf(XenStoreError);
    await daemon(server);
    while (!store.connected) await new Promise((resolve) => setImmediate(resolve));
    await store.write('/a/x', '1');
    expect(await events).toEqual([{ path: '/a' }, { path: '/a' }, { path: '/a/x' }]);
  });

  it('a client whose policy ends gives up its watches', async () => {
    const { stop } = await daemon();
    const store = await client({ reconnect: { attempts: 2, delay: () => 1 } });
    const failure = new Promise((resolve) => store.watch('/a').subscribe({ error: resolve }));
    await store.write('/b', '1');
    await stop();
    expect(await failure).toMatchObject({ code: 'EIO' });
  });

  it('a client without a policy reports the loss at once', async () => {
    const { stop } = await daemon();
    const store = await client();
    const failure = new Promise((resolve) => store.watch('/a').subscribe({ error: resolve }));
    await store.write('/b', '1');
    await stop();
    expect(await failure).toMatchObject({ code: 'EIO' });
    await expect(store.read('/b')).rejects.toMatchObject({ code: 'ENOTCONN' });
  });
});

describe('where the socket is', () => {
  it.each([
    [{}, '/var/run/xenstored/socket'],
    [{ XENSTORED_RUNDIR: '/run/x' }, '/run/x/socket'],
    [{ XENSTORED_RUNDIR: '/run/x', XENSTORED_PATH: '/tmp/s' }, '/tmp/s'],
    [{ XENSTORED_RUNDIR: '', XENSTORED_PATH: '' }, '/var/run/xenstored/socket'],
  ])('%j: %s', (environment, expected) => {
    expect(xenStoreSocketPath(environment)).toBe(expected);
  });
});
