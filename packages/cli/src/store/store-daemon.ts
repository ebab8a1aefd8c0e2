import { existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import {
  dumpToFile,
  listenOnSocket,
  type Quotas,
  restoreFromFile,
  type XenStoreListener,
  XenStoreServer,
  xenStoreSocketPath,
} from '@netchannel2/xenstore';

export interface StoreDaemonOptions {
  /** Default: where Xen's tools look. */
  readonly socket?: string | undefined;
  /** Read at start where it exists, written at the end and by {@link StoreDaemon.dump}. */
  readonly dump?: string | undefined;
  readonly quotas?: Partial<Quotas>;
  readonly print?: (text: string) => void;
}

/** A xenstore on a unix socket, with nothing else around it. */
export class StoreDaemon {
  private constructor(
    readonly server: XenStoreServer,
    private readonly listener: XenStoreListener,
    private readonly dumpFile: string | undefined,
  ) {}

  get socket(): string {
    return this.listener.path;
  }

  /** Reads the dump and listens. The socket's directory is made where it is missing. */
  static async start(options: StoreDaemonOptions): Promise<StoreDaemon> {
    const { dump, quotas, print, socket = xenStoreSocketPath() } = options;
    const server = new XenStoreServer({
      ...(quotas !== undefined && { quotas }),
      ...(print !== undefined && { print }),
    });
    if (dump !== undefined && existsSync(dump)) await restoreFromFile(server, dump);
    mkdirSync(dirname(socket), { recursive: true, mode: 0o755 });
    const listener = await listenOnSocket(server, socket);
    return new StoreDaemon(server, listener, dump);
  }

  /** Writes the tree to the dump file, if there is one. */
  async dump(): Promise<void> {
    if (this.dumpFile !== undefined) await dumpToFile(this.server, this.dumpFile);
  }

  /** Ends every connection, writes the dump, removes the socket. */
  async stop(): Promise<void> {
    await this.listener.close();
    this.server.close();
    await this.dump();
  }
}
