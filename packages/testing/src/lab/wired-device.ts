import type {
  BackendDevice,
  BackendDriver,
  DeviceClass,
  DeviceError,
  DeviceLink,
  FrontendDevice,
  FrontendDriver,
} from '@netchannel2/device-registry';
import type { Domain } from '@netchannel2/xen';
import type { VirtualClock } from './virtual-clock';

/** One end's directory as a plain map, in place of xenstore. */
export type DeviceNodes = Map<string, string>;

/** A device link over two maps. */
class WiredLink implements DeviceLink {
  readonly number = 0;
  readonly peer: Domain['id'];

  constructor(
    readonly domain: Domain,
    readonly deviceClass: DeviceClass,
    peer: Domain,
    readonly ownPath: string,
    readonly peerPath: string,
    private readonly own: DeviceNodes,
    private readonly theirs: DeviceNodes,
    readonly fail: (error: DeviceError) => void,
  ) {
    this.peer = peer.id;
  }

  async readOwn(node: string): Promise<string | undefined> {
    return this.own.get(node);
  }

  async readPeer(node: string): Promise<string | undefined> {
    return this.theirs.get(node);
  }

  async readPeerAll(nodes: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>();
    for (const node of nodes) {
      const value = this.theirs.get(node);
      if (value !== undefined) found.set(node, value);
    }
    return found;
  }
}

export interface WiredDeviceOptions<Front extends FrontendDevice, Back extends BackendDevice> {
  readonly guest: Domain;
  readonly host: Domain;
  readonly frontend: FrontendDriver<Front>;
  readonly backend: BackendDriver<Back>;
  /** Nodes of a toolstack, beside `mac` and the like. */
  readonly frontendNodes?: Readonly<Record<string, string>>;
  readonly backendNodes?: Readonly<Record<string, string>>;
  /** Has time go on while an end waits for the other one on its way down. Default: whoever calls sees to that. */
  readonly clock?: Pick<VirtualClock, 'during'> | undefined;
}

/**
 * Two drivers wired to each other by hand: the handshake happens step by step, without xenstore and without a registry, so
 * a test of a data path fails for reasons of the data path only.
 */
export class WiredDevice<Front extends FrontendDevice, Back extends BackendDevice> {
  readonly frontend: Front;
  readonly backend: Back;
  /** What either end gave up for, in order. */
  readonly failures: DeviceError[] = [];
  private readonly frontendNodes: DeviceNodes;
  private readonly backendNodes: DeviceNodes;
  private readonly clock: Pick<VirtualClock, 'during'> | undefined;
  private connectedNow = false;

  constructor(options: WiredDeviceOptions<Front, Back>) {
    this.clock = options.clock;
    const { guest, host, frontend, backend } = options;
    const deviceClass = frontend.deviceClass;
    if (backend.deviceClass !== deviceClass) {
      throw new Error(`a ${deviceClass} frontend cannot be wired to a ${backend.deviceClass} backend`);
    }
    const front = `/local/domain/${guest.id}/device/${deviceClass}/0`;
    const back = `/local/domain/${host.id}/backend/${deviceClass}/${guest.id}/0`;
    // In class vif2 `mac` is each side's own address, in class vif both carry the guest's (spec xenbus.md §5, §9).
    const guestMac = '00:16:3e:00:00:01';
    const hostMac = deviceClass === 'vif' ? guestMac : 'fe:ff:ff:ff:ff:ff';
    this.frontendNodes = new Map(
      Object.entries({ mac: guestMac, 'remote-mac': hostMac, 'filter-mac': '0', ...options.frontendNodes }),
    );
    this.backendNodes = new Map(
      Object.entries({ mac: hostMac, 'remote-mac': guestMac, 'filter-mac': '0', ...options.backendNodes }),
    );
    const fail = (error: DeviceError) => this.failures.push(error);
    this.frontend = frontend.create(
      new WiredLink(guest, deviceClass, host, front, back, this.frontendNodes, this.backendNodes, fail),
    );
    this.backend = backend.create(
      new WiredLink(host, deviceClass, guest, back, front, this.backendNodes, this.frontendNodes, fail),
    );
  }

  /** Both ends through their handshake to Connected. May be called again after `disconnect`. */
  async connect(): Promise<void> {
    publish(this.backendNodes, { state: '2', ...(await this.backend.features()) });
    publish(this.frontendNodes, { state: '3', ...(await this.frontend.prepare()) });
    await this.backend.connect();
    await this.frontend.connected();
    this.connectedNow = true;
  }

  /** The orderly way down, backend first. Takes time where packets are under way: up to a second for each end. */
  async disconnect(): Promise<void> {
    if (!this.connectedNow) return;
    this.connectedNow = false;
    const { clock } = this;
    await (clock === undefined ? this.goDown() : clock.during(this.goDown()));
  }

  private async goDown(): Promise<void> {
    await this.frontend.closing?.();
    await this.backend.disconnect();
    await this.frontend.disconnect();
  }

  /** The guest has died: its directory is gone. */
  forgetFrontend(): void {
    this.frontendNodes.clear();
  }

  /** Disconnects and takes both devices away for good. */
  async remove(): Promise<void> {
    await this.disconnect();
    this.backend.removed();
    this.frontend.removed();
  }
}

function publish(directory: DeviceNodes, nodes: Readonly<Record<string, string>>): void {
  for (const [node, value] of Object.entries(nodes)) directory.set(node, value);
}
