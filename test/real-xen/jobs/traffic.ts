import { createHash, randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { run } from './programs';

const ECHO = 7;
const SINK = 9;
const SOURCE = 19;
/** One local port for all datagrams: the guest's echo service talks to the first peer it hears. */
const LOCAL_UDP = 7007;

/** `ping`: packets lost, of `count`. */
export async function pingLoss(address: string, count: number, bytes = 56): Promise<number> {
  const text = await run(
    'ping',
    '-c',
    String(count),
    '-i',
    '0.2',
    '-W',
    '20',
    '-M',
    'do',
    '-s',
    String(bytes),
    address,
  ).catch((error: unknown) => String(error));
  const match = /(\d+) packets transmitted, (\d+) received/.exec(text);
  if (match === null) throw new Error(`ping said: ${text}`);
  return Number(match[1]) - Number(match[2]);
}

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
  const sent = randomBytes(bytes);
  const socket = await open(address, ECHO);
  const chunks: Buffer[] = [];
  let got = 0;
  const all = new Promise<void>((resolve, reject) => {
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`the connection ended after ${got} of ${bytes} bytes`)));
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      got += chunk.byteLength;
      if (got >= bytes) resolve();
    });
  });
  socket.write(sent);
  await all;
  socket.destroy();
  return Buffer.concat(chunks).equals(sent);
}

/** Sends random bytes to the guest's sink by TCP; their MD5, which the guest prints too. */
export async function tcpSend(address: string, bytes: number): Promise<string> {
  const sent = randomBytes(bytes);
  const socket = await open(address, SINK);
  socket.end(sent);
  await once(socket, 'close');
  return createHash('md5').update(sent).digest('hex');
}

/** Reads the guest's source by TCP to its end; how many bytes, all of them zero or not. */
export async function tcpReceive(address: string): Promise<{ bytes: number; allZero: boolean }> {
  const socket = await open(address, SOURCE);
  socket.on('error', () => {});
  let bytes = 0;
  let allZero = true;
  // Compared by the runtime: a function called for each byte would take longer than the network, under emulation.
  const zeros = Buffer.alloc(1 << 20);
  socket.on('data', (chunk) => {
    bytes += chunk.byteLength;
    if (zeros.compare(chunk, 0, chunk.byteLength, 0, chunk.byteLength) !== 0) allZero = false;
  });
  await once(socket, 'end');
  socket.destroy();
  return { bytes, allZero };
}

/** Sends datagrams of mixed sizes through the guest's echo, some in flight at a time; how many came back unchanged. */
export async function udpEcho(address: string, count: number, largest: number): Promise<number> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(LOCAL_UDP, resolve));
  const sums = new Map<number, string>();
  const sumOf = (bytes: Buffer): string => createHash('md5').update(bytes).digest('hex');
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
  await new Promise<void>((resolve) => {
    let idle = setTimeout(resolve, 20_000);
    socket.on('message', (bytes) => {
      clearTimeout(idle);
      idle = setTimeout(resolve, 20_000);
      const id = bytes.readUInt32BE(0);
      if (sums.get(id) === sumOf(bytes)) intact += 1;
      sums.delete(id);
      send();
      if (intact >= count) {
        clearTimeout(idle);
        resolve();
      }
    });
    for (let started = 0; started < 8; started++) send();
  });
  socket.close();
  return intact;
}
