/**
 * The daemon's unix socket, and unix sockets as byte streams.
 *
 * @packageDocumentation
 */
import { chmodSync, lstatSync, unlinkSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import type { ByteDuplex, ByteReceiver } from './byte-duplex';
import type { XenStoreCaller, XenStoreServer } from './server';

/** Where Debian's tools look when no variable says otherwise. */
const DEFAULT_RUN_DIRECTORY = '/var/run/xenstored';
/** `sun_path` has 108 bytes, the last for a NUL. */
const LONGEST_PATH = 107;

/** Where the daemon's socket is: `XENSTORED_PATH`, else `socket` in `XENSTORED_RUNDIR`, else the compiled-in place. */
export function xenStoreSocketPath(environment: NodeJS.ProcessEnv = process.env): string {
  const { XENSTORED_PATH: path, XENSTORED_RUNDIR: directory } = environment;
  if (path !== undefined && path !== '') return path;
  return `${directory === undefined || directory === '' ? DEFAULT_RUN_DIRECTORY : directory}/socket`;
}

/** The stream over a connected socket. */
export function socketStream(socket: Socket): ByteDuplex {
  let closed = false;
  return {
    open(receiver: ByteReceiver): void {
      let failure: Error | undefined;
      socket.on('data', (chunk: Uint8Array) => {
        if (!closed) receiver.receive(chunk);
      });
      socket.on('drain', () => {
        if (!closed) receiver.drained();
      });
      socket.on('error', (error: Error) => {
        failure = error;
      });
      socket.on('end', () => socket.destroy());
      socket.on('close', () => {
        if (closed) return;
        closed = true;
        receiver.closed(failure);
      });
    },
    send: (chunk) => (closed || !socket.writable ? true : socket.write(chunk)),
    pause() {
      socket.pause();
    },
    resume() {
      socket.resume();
    },
    close(): void {
      if (closed) return;
      closed = true;
      // Lets what was sent go out, and does not wait for the other side to hang up as well.
      socket.destroySoon();
    },
  };
}

/** Connects to a daemon's socket. Rejects with the system's error when nobody listens. */
export function connectSocket(path: string = xenStoreSocketPath()): Promise<ByteDuplex> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ path });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(socketStream(socket));
    });
  });
}

export interface XenStoreListener {
  readonly path: string;
  /** Stops listening and removes the socket; connections stay until they or the server close. */
  close(): Promise<void>;
}

/**
 * Serves a unix socket: mode 0600, a stale one is replaced.
 *
 * @param path - see {@link xenStoreSocketPath}; at most 107 bytes.
 * @param caller - in whose name all its clients speak. Default: dom0, privileged.
 */
export function listenOnSocket(
  server: XenStoreServer,
  path: string = xenStoreSocketPath(),
  caller: XenStoreCaller = { domid: 0, privileged: true },
): Promise<XenStoreListener> {
  return listenPrivately(path, (socket) => server.attach(socketStream(socket), caller, { gathered: true }));
}

/** Serves a unix socket that only its owner may connect to (mode 0600); a stale one is replaced, a live one is not. */
export async function listenPrivately(
  path: string,
  connected: (socket: Socket) => void,
): Promise<XenStoreListener> {
  if (Buffer.byteLength(path) > LONGEST_PATH) {
    throw new Error(`The socket path "${path}" is longer than ${LONGEST_PATH} bytes; choose a shorter one.`);
  }
  await removeStale(path);
  const listener = createServer(connected);
  await bind(listener, path);
  return {
    path,
    close: () =>
      new Promise((resolve) => {
        listener.close();
        resolve();
      }),
  };
}

async function removeStale(path: string): Promise<void> {
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (status === undefined) return;
  if (!status.isSocket())
    throw new Error(`"${path}" exists and is not a socket; remove it or choose another path.`);
  const alive = await connectSocket(path).then(
    (stream) => {
      stream.open({ receive: () => undefined, drained: () => undefined, closed: () => undefined });
      stream.close();
      return true;
    },
    () => false,
  );
  if (alive) throw new Error(`Another daemon serves "${path}"; stop it or choose another path.`);
  unlinkSync(path);
}

function bind(listener: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    listener.once('error', reject);
    listener.once('listening', () => {
      listener.off('error', reject);
      resolve();
    });
    const mask = restrictMode();
    try {
      // The socket comes into being inside this call, so nobody else can connect before its mode is set.
      listener.listen(path);
    } finally {
      if (mask !== undefined) process.umask(mask);
    }
    if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true) chmodSync(path, 0o600);
  });
}

/** Makes new files private, where the thread may; answers the former mask. */
function restrictMode(): number | undefined {
  try {
    return process.umask(0o177);
  } catch {
    // Worker threads may not change the mask; the mode is set right after.
    return undefined;
  }
}
