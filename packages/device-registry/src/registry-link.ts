import type { Domain, DomainId } from '@netchannel2/xen';
import type { DeviceClass, DeviceError, DeviceLink } from './driver';

/** Where a device lies and who is at its other end. */
export interface DeviceEnds {
  readonly deviceClass: DeviceClass;
  readonly number: number;
  readonly ownPath: string;
  readonly peerPath: string;
  readonly peer: DomainId;
}

/** The {@link DeviceLink} both runners hand to their drivers. */
export class RegistryLink implements DeviceLink {
  readonly deviceClass: DeviceClass;
  readonly number: number;
  readonly ownPath: string;
  readonly peerPath: string;
  readonly peer: DomainId;

  constructor(
    readonly domain: Domain,
    ends: DeviceEnds,
    private readonly failed: (error: DeviceError) => void,
  ) {
    this.deviceClass = ends.deviceClass;
    this.number = ends.number;
    this.ownPath = ends.ownPath;
    this.peerPath = ends.peerPath;
    this.peer = ends.peer;
  }

  readOwn(node: string): Promise<string | undefined> {
    return this.domain.store.tryRead(`${this.ownPath}/${node}`);
  }

  readPeer(node: string): Promise<string | undefined> {
    return this.domain.store.tryRead(`${this.peerPath}/${node}`);
  }

  readPeerAll(nodes: readonly string[]): Promise<ReadonlyMap<string, string>> {
    return this.domain.store.transaction(async (transaction) => {
      const values = new Map<string, string>();
      for (const node of nodes) {
        const value = await transaction.tryRead(`${this.peerPath}/${node}`);
        if (value !== undefined) values.set(node, value);
      }
      return values;
    });
  }

  fail(error: DeviceError): void {
    this.failed(error);
  }
}
