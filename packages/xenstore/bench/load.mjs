/**
 * Reads and writes a second over the unix socket, and what watches cost a write.
 *
 *   node bench/load.mjs [--clients 4] [--seconds 2]
 *
 * The daemon runs in this process, the clients in another. Needs the built package.
 */
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { connectXenStore, listenOnSocket, XenStoreClient, XenStoreServer } from '../dist/index.js';

const WATCHES = 10_000;

/** Keeps `depth` requests of each client on their way for `seconds`; answers requests a second. */
async function rate(clients, depth, seconds, request) {
  const end = performance.now() + seconds * 1000;
  const start = performance.now();
  let count = 0;
  const loop = async (client, index) => {
    while (performance.now() < end) {
      await request(client, index);
      count += 1;
    }
  };
  await Promise.all(
    clients.flatMap((client, index) => Array.from({ length: depth }, () => loop(client, index))),
  );
  return Math.round(count / ((performance.now() - start) / 1000));
}

async function clientProcess(path, clientCount, seconds) {
  const clients = await Promise.all(Array.from({ length: clientCount }, () => connectXenStore({ path })));
  for (const [index, client] of clients.entries()) await client.write(`/load/${index}/value`, 'some value');
  const read = (client, index) => client.read(`/load/${index}/value`);
  const write = (client, index) => client.write(`/load/${index}/value`, 'some value');
  for (const depth of [1, 32]) {
    await rate(clients, depth, 0.5, read);
    await rate(clients, depth, 0.5, write);
    process.send({
      text: `reads/s,  ${clientCount} clients, ${depth} in flight each`,
      value: await rate(clients, depth, seconds, read),
    });
    process.send({
      text: `writes/s, ${clientCount} clients, ${depth} in flight each`,
      value: await rate(clients, depth, seconds, write),
    });
  }
  for (const client of clients) client.close();
}

/** Microseconds a write takes inside the daemon's process. */
async function writeCost(client, writes) {
  const start = performance.now();
  for (let index = 0; index < writes; index++) await client.write('/cost/node', 'x');
  return ((performance.now() - start) * 1000) / writes;
}

async function watchCost() {
  const server = new XenStoreServer();
  const client = new XenStoreClient(server.connect({ domid: 0 }));
  const watcher = new XenStoreClient(server.connect({ domid: 0 }));
  const rounds = [];
  await writeCost(client, 20_000);
  for (let round = 0; round < 5; round++) {
    const without = await writeCost(client, 20_000);
    const subscriptions = Array.from({ length: WATCHES }, (_, index) =>
      watcher.watch(`/watched/${index}/state`).subscribe(),
    );
    await watcher.read('/');
    const withWatches = await writeCost(client, 20_000);
    for (const subscription of subscriptions) subscription.unsubscribe();
    await watcher.read('/');
    rounds.push({ without, withWatches });
  }
  rounds.sort((a, b) => a.withWatches / a.without - b.withWatches / b.without);
  return rounds[2];
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { clients: { type: 'string', default: '4' }, seconds: { type: 'string', default: '2' } },
});

if (positionals[0] === 'client') {
  await clientProcess(positionals[1], Number(values.clients), Number(values.seconds));
  process.disconnect();
} else {
  const directory = mkdtempSync('/tmp/xenstore-load-');
  const path = join(directory, 'socket');
  const server = new XenStoreServer();
  const listener = await listenOnSocket(server, path);
  const child = fork(fileURLToPath(import.meta.url), [
    'client',
    path,
    '--clients',
    values.clients,
    '--seconds',
    values.seconds,
  ]);
  child.on('message', ({ text, value }) => console.log(`${text}: ${value}`));
  await new Promise((resolve) => child.once('exit', resolve));
  server.close();
  await listener.close();
  rmSync(directory, { recursive: true, force: true });
  const { without, withWatches } = await watchCost();
  console.log(
    `write with ${WATCHES} watches on other paths: ${withWatches.toFixed(2)} µs, without: ${without.toFixed(2)} µs, ratio ${(withWatches / without).toFixed(2)}`,
  );
}
