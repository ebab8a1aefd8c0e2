/**
 * Grant tables of a running simulation for other processes: one more socket, beside its xenstore's. A client sends a
 * domain id and a line feed; the answer is one line of JSON, the table or `null`, and the end of the stream.
 */
import { createConnection, type Socket } from 'node:net';
import type { GrantTableRecord, Machine } from '@netchannel2/hypervisor';
import { listenPrivately, type XenStoreListener } from '@netchannel2/xenstore';

/** A domain id has at most five digits. */
const LONGEST_REQUEST = 6;

/** Where the tables are to be had, by the path of the simulation's xenstore. */
export function grantsSocketPath(storeSocket: string): string {
  return `${storeSocket}.grants`;
}

/** The simulation's end. */
export class GrantsSocket {
  private constructor(
    private readonly listener: XenStoreListener,
    private readonly clients: ReadonlySet<Socket>,
  ) {}

  /** Rejects when the socket cannot be made: another simulation serves it, or its path is too long. */
  static async listen(machine: Machine, storeSocket: string): Promise<GrantsSocket> {
    const clients = new Set<Socket>();
    const listener = await listenPrivately(grantsSocketPath(storeSocket), (socket) => {
      clients.add(socket);
      socket.on('close', () => clients.delete(socket));
      serve(machine, socket);
    });
    return new GrantsSocket(listener, clients);
  }

  /** Hangs up on everybody and removes the socket. */
  async close(): Promise<void> {
    for (const client of this.clients) client.destroy();
    await this.listener.close();
  }
}

function serve(machine: Machine, socket: Socket): void {
  let request = '';
  socket.setEncoding('latin1');
  socket.on('error', () => socket.destroy());
  socket.on('data', (text: string) => {
    request += text;
    const end = request.indexOf('\n');
    if (end < 0 && request.length < LONGEST_REQUEST) return;
    if (!/^\d{1,5}\n$/.test(request)) {
      socket.destroy();
      return;
    }
    socket.removeAllListeners('data');
    socket.end(`${JSON.stringify(machine.grantEntries(Number(request)) ?? null)}\n`);
  });
}

/**
 * Asks a simulation for a domain's table.
 *
 * @returns `undefined` when the simulation has no such domain. Rejects with the system's error when nobody serves the
 * socket, and when what answers is no simulation.
 */
export function askForGrants(path: string, domid: number): Promise<GrantTableRecord | undefined> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ path }, () => socket.write(`${domid}\n`));
    let answer = '';
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => {
      answer += text;
    });
    socket.on('error', reject);
    socket.on('close', () => {
      try {
        const table: unknown = JSON.parse(answer);
        if (table === null) resolve(undefined);
        else if (isTable(table)) resolve(table);
        else reject(new Error('the answer is no grant table'));
      } catch {
        reject(new Error('the answer broke off'));
      }
    });
  });
}

function isTable(value: unknown): value is GrantTableRecord {
  return typeof value === 'object' && value !== null && 'entries' in value && Array.isArray(value.entries);
}
