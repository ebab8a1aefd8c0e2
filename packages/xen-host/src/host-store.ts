import { accessSync, closeSync, constants, existsSync, openSync, readSync, writeSync } from 'node:fs';
import {
  type ByteDuplex,
  type ByteReceiver,
  connectXenStore,
  XenStoreClient,
  xenStoreSocketPath,
} from '@netchannel2/xenstore';
import koffi from 'koffi';
import type { ReadinessWatch } from './native/xen-libraries';
import { XenHostError } from './xen-host-error';

/** The kernel's door to xenstore, for domains that do not run the daemon. */
const DEVICE = '/dev/xen/xenbus';
const OLD_DEVICE = '/proc/xen/xenbus';

export interface HostStoreOptions {
  /** Socket of xenstored. Default: `XENSTORED_PATH`, `XENSTORED_RUNDIR`/socket, or the compiled-in place. */
  readonly socketPath?: string;
}

/**
 * Connects to the host's xenstore: the daemon's socket where there is one (dom0), else the kernel's device (a driver domain).
 *
 * @throws XenHostError when neither can be used.
 */
export async function connectHostStore(options: HostStoreOptions = {}): Promise<XenStoreClient> {
  const path = options.socketPath ?? xenStoreSocketPath();
  if (options.socketPath !== undefined || existsSync(path)) {
    try {
      return await connectXenStore({ path, reconnect: {} });
    } catch (error) {
      throw storeFailure(path, codeOf(error));
    }
  }
  const device = [DEVICE, OLD_DEVICE].find((each) => existsSync(each));
  if (device === undefined) {
    throw new XenHostError(
      `xenstore is not there: neither ${path} (start xenstored) nor ${DEVICE} (modprobe xenfs) exists.`,
    );
  }
  try {
    accessSync(device, constants.R_OK | constants.W_OK);
    return new XenStoreClient(deviceStream(device), { maximumInFlight: 1 });
  } catch (error) {
    throw storeFailure(device, codeOf(error));
  }
}

function storeFailure(path: string, code: string): XenHostError {
  if (code === 'EACCES' || code === 'EPERM') {
    return new XenHostError(
      `No permission to open ${path}. Run as root, or give this user read and write access.`,
    );
  }
  if (code === 'ECONNREFUSED' || code === 'ENOENT') {
    return new XenHostError(`Nobody serves ${path}: is xenstored running?`);
  }
  return new XenHostError(`${path} cannot be opened: ${code}.`);
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'EIO';
}

/** The kernel's device as a stream: it takes whole messages, and gives replies and events as they come. */
function deviceStream(path: string): ByteDuplex {
  const fd = openSync(path, 'r+');
  let watch: ReadinessWatch | undefined;
  let receiver: ByteReceiver | undefined;
  let paused = false;
  let closed = false;

  const end = (): void => {
    closed = true;
    watch?.close();
    closeSync(fd);
  };
  const read = (): void => {
    const chunk = Buffer.allocUnsafe(8192);
    try {
      const length = readSync(fd, chunk);
      if (length > 0) receiver?.receive(chunk.subarray(0, length));
    } catch (error) {
      if (codeOf(error) === 'EAGAIN' || closed) return;
      end();
      receiver?.closed(error instanceof Error ? error : undefined);
    }
  };
  const listen = (): void => {
    // The event loop makes the descriptor non-blocking, so a read never waits.
    if (watch === undefined && !closed && !paused && receiver !== undefined) {
      watch = koffi.node.poll(fd, { readable: true }, read);
    }
  };
  return {
    open(next) {
      receiver = next;
      listen();
    },
    send(chunk) {
      if (!closed) writeSync(fd, chunk);
      return true;
    },
    pause() {
      paused = true;
      watch?.close();
      watch = undefined;
    },
    resume() {
      paused = false;
      listen();
    },
    close() {
      if (!closed) end();
    },
  };
}
