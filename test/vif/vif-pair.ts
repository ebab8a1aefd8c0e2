import type { BackendDevice, DeviceError, DeviceLink, FrontendDevice } from '@netchannel2/device-registry';
import { type Netback, type NetbackOptions, netbackDriver } from '@netchannel2/netback';
import { type Netfront, type NetfrontOptions, netfrontDriver } from '@netchannel2/netfront';
import type { Domain } from '@netchannel2/xen';

const MAC = '00:16:3e:00:00:01';

/** A device link over two plain maps instead of xenstore: drivers are tested apart from the registry's handshake. */
export class MapLink implements DeviceLink {
  readonly deviceClass = 'vif';
  readonly number = 0;
  readonly peer: Domain['id'];
  readonly failures: DeviceError[] = [];

  constructor(
    readonly domain: Domain,
    peer: Domain,
    readonly ownPath: string,
    readonly peerPath: string,
    readonly own: Map<string, string>,
    readonly theirs: Map<string, string>,
  ) {
    this.peer = peer.id;
  }

  private readonly stored = new Set<string>();

  /** From here on a node of the peer's is read from xenstore, where it can be watched. */
  readsStore(node: string): void {
    this.stored.add(node);
  }

  async readOwn(node: string): Promise<string | undefined> {
    return this.own.get(node);
  }

  async readPeer(node: string): Promise<string | undefined> {
    if (this.stored.has(node)) return this.domain.store.tryRead(`${this.peerPath}/${node}`);
    return this.theirs.get(node);
  }

  async readPeerAll(nodes: readonly string[]): Promise<ReadonlyMap<string, string>> {
    return new Map(
      nodes.flatMap((node) => {
        const value = this.theirs.get(node);
        return value === undefined ? [] : [[node, value] as const];
      }),
    );
  }

  fail(error: DeviceError): void {
    this.failures.push(error);
  }
}

/** From now on drivers of this domain do without kernels, as on a real host. */
export function withoutKernels(domain: Domain): void {
  Object.defineProperty(domain.memory, 'kernels', { value: undefined });
}

/** Both directories of one vif and a link for each end. */
export function vifLinks(guest: Domain, host: Domain) {
  const frontNodes = new Map([['mac', MAC]]);
  const backNodes = new Map([['mac', MAC]]);
  const frontPath = `/local/domain/${guest.id}/device/vif/0`;
  const backPath = `/local/domain/${host.id}/backend/vif/${guest.id}/0`;
  return {
    front: new MapLink(guest, host, frontPath, backPath, frontNodes, backNodes),
    back: new MapLink(host, guest, backPath, frontPath, backNodes, frontNodes),
  };
}

const publish = (directory: Map<string, string>, nodes: Readonly<Record<string, string>>) => {
  for (const [node, value] of Object.entries(nodes)) directory.set(node, value);
};

export async function offer(link: MapLink, backend: BackendDevice): Promise<void> {
  publish(link.own, await backend.features());
}

export async function prepare(link: MapLink, frontend: FrontendDevice): Promise<void> {
  publish(link.own, await frontend.prepare());
}

export interface VifPair {
  readonly front: Netfront;
  readonly back: Netback;
  readonly links: ReturnType<typeof vifLinks>;
  connect(): Promise<void>;
  disconnect(): Promise<void>;
}

/** A netfront in `guest` and a netback in `host`, not yet connected. */
export function vifPair(
  guest: Domain,
  host: Domain,
  options: { front?: NetfrontOptions; back?: NetbackOptions } = {},
): VifPair {
  const links = vifLinks(guest, host);
  const front = netfrontDriver(options.front).create(links.front);
  const back = netbackDriver(options.back).create(links.back);
  return {
    front,
    back,
    links,
    async connect() {
      await offer(links.back, back);
      await prepare(links.front, front);
      await back.connect();
      front.connected();
    },
    async disconnect() {
      front.closing();
      await back.disconnect();
      await front.disconnect();
    },
  };
}
