/**
 * A client of a daemon's unix socket that comes back when the daemon does.
 *
 * @packageDocumentation
 */
import { asyncScheduler, type SchedulerLike, type Subscription } from 'rxjs';
import { XenStoreClient } from './client';
import type { ClientConnectionOptions } from './client-connection';
import { connectSocket, xenStoreSocketPath } from './unix-socket';

export interface ReconnectPolicy {
  /** Attempts before giving up; watches then end with `EIO`. Default: none is the last. */
  readonly attempts?: number;
  /** Milliseconds before attempt `n` = 1, 2 …. Default 50, doubling, at most 5000. */
  readonly delay?: (attempt: number) => number;
  readonly scheduler?: SchedulerLike;
}

export interface SocketClientOptions extends ClientConnectionOptions {
  /** Default: see `xenStoreSocketPath`. */
  readonly path?: string;
  /**
   * What to do when the connection is lost. Pending requests are rejected with `EIO` in any case, as it is not known
   * whether they were served, and those made meanwhile with `ENOTCONN`; watches live on. Default: nothing.
   */
  readonly reconnect?: ReconnectPolicy;
}

const defaultDelay = (attempt: number): number => Math.min(5000, 50 * 2 ** (attempt - 1));

/** Connects to the daemon. Rejects with the system's error when nobody listens. */
export async function connectXenStore(options: SocketClientOptions = {}): Promise<XenStoreClient> {
  const { path = xenStoreSocketPath(), reconnect, ...connectionOptions } = options;
  const transport = await connectSocket(path);
  if (reconnect === undefined) return new XenStoreClient(transport, connectionOptions);

  const { attempts = Number.POSITIVE_INFINITY, delay = defaultDelay, scheduler = asyncScheduler } = reconnect;
  let waiting: Subscription | undefined;

  const tryAgain = (client: XenStoreClient, attempt: number): void => {
    if (attempt > attempts) {
      client.giveUp();
      return;
    }
    waiting = scheduler.schedule(() => {
      connectSocket(path).then(
        (next) => {
          if (client.closed) next.close();
          else client.reopen(next);
        },
        () => {
          if (!client.closed) tryAgain(client, attempt + 1);
        },
      );
    }, delay(attempt));
  };

  return new XenStoreClient(transport, {
    ...connectionOptions,
    onLost: (client) => tryAgain(client, 1),
    onClosed: () => waiting?.unsubscribe(),
  });
}
