import type { XenStore, XenStoreOperations, XenStorePermission } from '@netchannel2/xen';
import { domainId } from '@netchannel2/xen';
import {
  type ByteDuplex,
  inProcessPair,
  listenOnSocket,
  XenStoreClient,
  type XenStoreListener,
  XenStoreServer,
  type XenStoreServerOptions,
} from '@netchannel2/xenstore';
import type { StoreService } from './store-service';

const CONTROL_DOMAIN = 0;
/** Directories of a home that belong to the guest (spec xenbus.md §1). */
const GUEST_DIRECTORIES = ['attr', 'control', 'data', 'drivers', 'error', 'feature'] as const;

/** What ends with a domain. */
type Closable = Pick<ByteDuplex, 'close'>;

/**
 * The machine's own xenstore daemon and the builder's part of the toolstack: a home directory for each domain. A domain
 * is connected once its home is complete; what it asks for before that waits.
 */
export class InProcessStore implements StoreService {
  readonly server: XenStoreServer;
  readonly #toolstack: XenStoreClient;
  readonly #connections = new Map<number, Closable[]>();
  readonly #listeners: XenStoreListener[] = [];
  /** Homes not complete yet. */
  readonly #building = new Map<number, Promise<void>>();

  constructor(xen: Pick<XenStoreServerOptions, 'domainExists' | 'connectRing' | 'now'>) {
    this.server = new XenStoreServer(xen);
    this.#toolstack = new XenStoreClient(this.server.connect({ domid: CONTROL_DOMAIN, privileged: true }));
  }

  introduce(domid: number, name: string): void {
    this.server.introduceDomain(domid);
    const home = buildHome(this.#toolstack, domid, name);
    this.#building.set(domid, home);
    const built = () => {
      if (this.#building.get(domid) === home) this.#building.delete(domid);
    };
    home.then(built, built);
  }

  connect(domid: number, privileged: boolean): XenStore {
    const [clientEnd, serverEnd] = inProcessPair();
    const client = new XenStoreClient(clientEnd);
    this.#keep(domid, client);
    this.attach(domid, privileged, serverEnd);
    return client;
  }

  attach(domid: number, privileged: boolean, transport: ByteDuplex): void {
    const list = this.#keep(domid, transport);
    const attach = () => {
      if (this.#connections.get(domid) === list) this.server.attach(transport, { domid, privileged });
    };
    this.#whenAtHome(domid, attach);
  }

  attachRing(domid: number, ring: ByteDuplex): void {
    const list = this.#keep(domid, ring);
    const attach = () => {
      if (this.#connections.get(domid) === list) this.server.introduceDomain(domid, ring);
    };
    this.#whenAtHome(domid, attach);
  }

  release(domid: number): void {
    for (const connection of this.#connections.get(domid) ?? []) connection.close();
    this.#connections.delete(domid);
    const building = this.#building.get(domid);
    this.#building.delete(domid);
    void this.#removeDomain(domid, building);
  }

  /**
   * {@inheritDoc StoreService.listen}
   *
   * @param path default: `XENSTORED_PATH`, else where Xen's tools look.
   */
  async listen(path?: string): Promise<XenStoreListener> {
    const listener = await listenOnSocket(this.server, path);
    this.#listeners.push(listener);
    return listener;
  }

  close(): void {
    for (const listener of this.#listeners) void listener.close();
    for (const domid of [...this.#connections.keys()]) this.release(domid);
    this.#toolstack.close();
    this.server.close();
  }

  /**
   * As libxl does, the home goes first, while the domain is still known: that fires watches, and a guest learns of its
   * driver domain's end from them. What a dead domain owns disappears without, and `@releaseDomain` is not for guests.
   */
  async #removeDomain(domid: number, building: Promise<void> | undefined): Promise<void> {
    // A domain can be destroyed while its home is still being built.
    if (building !== undefined) await building.catch(() => {});
    // Another toolstack may have been faster.
    await this.#toolstack.remove(homeOf(domid)).catch(() => {});
    this.server.releaseDomain(domid);
  }

  #whenAtHome(domid: number, attach: () => void): void {
    void (this.#building.get(domid) ?? Promise.resolve()).then(attach, attach);
  }

  #keep(domid: number, connection: Closable): Closable[] {
    const list = this.#connections.get(domid) ?? [];
    list.push(connection);
    this.#connections.set(domid, list);
    return list;
  }
}

function homeOf(domid: number): string {
  return `/local/domain/${domid}`;
}

async function buildHome(store: XenStore, domid: number, name: string): Promise<void> {
  const home = homeOf(domid);
  const guestReads: XenStorePermission[] = [
    { domid: domainId(CONTROL_DOMAIN), access: 'none' },
    { domid: domainId(domid), access: 'read' },
  ];
  const guestOwns: XenStorePermission[] = [{ domid: domainId(domid), access: 'none' }];
  await store.transaction(async (transaction) => {
    const make = async (path: string, permissions: readonly XenStorePermission[]): Promise<void> => {
      await transaction.makeDirectory(path);
      await transaction.setPermissions(path, permissions);
    };
    await make(home, guestReads);
    await writeReadable(transaction, `${home}/name`, name, guestReads);
    await writeReadable(transaction, `${home}/domid`, String(domid), guestReads);
    await make(`${home}/device`, guestReads);
    for (const directory of GUEST_DIRECTORIES) await make(`${home}/${directory}`, guestOwns);
  });
}

async function writeReadable(
  store: XenStoreOperations,
  path: string,
  value: string,
  permissions: readonly XenStorePermission[],
): Promise<void> {
  await store.write(path, value);
  await store.setPermissions(path, permissions);
}
