import { createHash, randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { run, textOf, until } from './programs';

const ECHO = 7;
const SINK = 9;
const SOURCE = 19;
const SCATTER = 29;
const GATHERED = 39;
const GATHER = 49;
const GATHERED_BYTES = 59;
/** One local port for all datagrams: the guest's echo service talks to the first peer it hears. */
const LOCAL_UDP = 7007;
const LOCAL_SINK = 7008;
/** Room for all datagrams of a transfer, so that this process being late loses none. */
const RECEIVE_BUFFER = 64 << 20;
/** After so long without a datagram none will come. */
const SILENCE_MS = 20_000;
/** Datagrams that a TAP's queue surely holds. */
const TAP_QUEUE = 200;

const sumOf = (bytes: Buffer): string => createHash('md5').update(bytes).digest('hex');

async function open(address: string, port: number): Promise<Socket> {
  const socket = connect({ host: address, port });
  await once(socket, 'connect');
  return socket;
}

/** Opens a connection and does not mind how it ends: for services that take the guest down. */
export async function poke(address: string, port: number): Promise<void> {
  const socket = await open(address, port);
  socket.on('error', () => {});
  socket.destroy();
}

/** Sends random bytes through the guest's echo and back by TCP; whether they came back unchanged. */
export async function tcpEcho(address: string, bytes: number): Promise<boolean> {
  const echo = await openEcho(address);
  const intact = await echo.exchange(bytes);
  echo.close();
  return intact;
}

/** Sends bytes to the guest's sink by TCP; their MD5. The guest prints the sum of what it took, and keeps it. */
export async function tcpSend(address: string, bytes: Buffer): Promise<string> {
  const socket = await open(address, SINK);
  socket.end(bytes);
  await once(socket, 'close');
  return sumOf(bytes);
}

/** Reads what the guest kept, by TCP to its end; its MD5. */
export async function tcpRecall(address: string): Promise<string> {
  return sumOf(await recall(address, SOURCE));
}

async function recall(address: string, port: number): Promise<Buffer> {
  const socket = await open(address, port);
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  await once(socket, 'end');
  socket.destroy();
  return Buffer.concat(chunks);
}

/** A TCP connection to the guest's echo that outlives what happens to the guest meanwhile. */
export async function openEcho(
  address: string,
): Promise<{ exchange(bytes: number): Promise<boolean>; close(): void }> {
  const socket = await open(address, ECHO);
  return {
    async exchange(bytes) {
      const sent = randomBytes(bytes);
      const chunks: Buffer[] = [];
      let got = 0;
      const all = new Promise<void>((resolve, reject) => {
        socket.once('error', reject);
        socket.once('close', () => reject(new Error(`the connection ended after ${got} of ${bytes} bytes`)));
        socket.on('data', (chunk) => {
          chunks.push(chunk);
          got += chunk.byteLength;
          if (got >= bytes) resolve();
        });
      });
      socket.write(sent);
      await all;
      socket.removeAllListeners('data');
      socket.removeAllListeners('error');
      socket.removeAllListeners('close');
      return Buffer.concat(chunks).equals(sent);
    },
    close: () => socket.destroy(),
  };
}

/** Resolves once `done` was called, or nothing was heard for a while. */
function untilSilent(listen: (heard: () => void, done: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    let idle = setTimeout(resolve, SILENCE_MS);
    listen(
      () => {
        clearTimeout(idle);
        idle = setTimeout(resolve, SILENCE_MS);
      },
      () => {
        clearTimeout(idle);
        resolve();
      },
    );
  });
}

/** Sends datagrams of mixed sizes through the guest's echo, some in flight at a time; how many came back unchanged. */
export async function udpEcho(address: string, count: number, largest: number, window = 8): Promise<number> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(LOCAL_UDP, resolve));
  const sums = new Map<number, string>();
  let intact = 0;
  let next = 0;
  const send = (): void => {
    if (next >= count) return;
    const bytes = randomBytes(4 + ((next * 37) % (largest - 4)));
    bytes.writeUInt32BE(next);
    sums.set(next, sumOf(bytes));
    next += 1;
    socket.send(bytes, ECHO, address);
  };
  await untilSilent((heard, done) => {
    socket.on('message', (bytes) => {
      heard();
      const id = bytes.readUInt32BE(0);
      if (sums.get(id) === sumOf(bytes)) intact += 1;
      sums.delete(id);
      send();
      if (intact >= count) done();
    });
    for (let started = 0; started < window; started++) send();
  });
  socket.close();
  return intact;
}

/**
 * Sends datagrams of `size` bytes to the guest through `tap`, which is given more as long as its queue has room; how many came
 * unchanged and once, by what the guest wrote down.
 */
export async function udpGather(address: string, tap: string, count: number, size: number): Promise<number> {
  const expected = new Set<string>();
  const counter = `/sys/class/net/${tap}/statistics/tx_packets`;
  const socket = createSocket({ type: 'udp4', sendBufferSize: 1 << 20 });
  for (let sent = 0; sent < count; ) {
    const before = Number(textOf(counter));
    const burst = Math.min(TAP_QUEUE, count - sent);
    for (let index = 0; index < burst; index++) {
      const bytes = randomBytes(size);
      expected.add(sumOf(bytes));
      await new Promise<void>((resolve) => socket.send(bytes, GATHER, address, () => resolve()));
    }
    sent += burst;
    await until(`${burst} datagrams to leave ${tap}`, 60, () =>
      Number(textOf(counter)) - before >= burst ? true : undefined,
    );
  }
  socket.close();
  await until(
    `${count * size} bytes to be written down`,
    60,
    async () => (Number(await recall(address, GATHERED_BYTES)) >= count * size ? true : undefined),
    // The guest starts programs to answer that.
    1000,
  );
  const kept = await recall(address, GATHERED);
  for (let at = 0; at < kept.byteLength; at += size) expected.delete(sumOf(kept.subarray(at, at + size)));
  return count - expected.size;
}

/** Has the guest send what it kept, which is `kept`, in datagrams of `size` bytes to `host`; how many came unchanged and once. */
export async function udpScatter(address: string, host: string, kept: Buffer, size: number): Promise<number> {
  await run('sysctl', '-q', '-w', `net.core.rmem_max=${RECEIVE_BUFFER}`);
  const expected = new Set<string>();
  for (let at = 0; at < kept.byteLength; at += size) expected.add(sumOf(kept.subarray(at, at + size)));
  const count = expected.size;
  const socket = createSocket({ type: 'udp4', recvBufferSize: RECEIVE_BUFFER });
  await new Promise<void>((resolve) => socket.bind(LOCAL_SINK, resolve));
  const order = await open(address, SCATTER);
  order.on('error', () => {});
  await untilSilent((heard, done) => {
    socket.on('message', (bytes) => {
      heard();
      expected.delete(sumOf(bytes));
      if (expected.size === 0) done();
    });
    order.write(`${host} ${LOCAL_SINK} ${size}\n`);
  });
  order.destroy();
  socket.close();
  return count - expected.size;
}
