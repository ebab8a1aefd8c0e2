import { DeviceError, type DeviceLink } from '@netchannel2/device-registry';
import { BackRing, type ControlNodes, CTRL_RING, RING_BROKEN } from '@netchannel2/netif';
import { eventChannelPort, grantRef, grantStatusName } from '@netchannel2/xen';
import { ControlRequests } from './control-requests';
import { ControlRing } from './control-ring';
import type { CopyBatches } from './copy-batches';
import type { ReceiveHash } from './receive-hash';
import type { StagingBuffers } from './staging-buffers';

/** The control ring of a connection: mapping, port and the page requests are copied through. */
export class Control {
  private readonly ring: ControlRing;
  private readonly releases: (() => void)[] = [];

  /** @throws DeviceError when the frontend's nodes do not work out or a resource is short; nothing is held then. */
  constructor(
    link: DeviceLink,
    batches: CopyBatches,
    nodes: ControlNodes,
    hash: ReceiveHash,
    staging: readonly StagingBuffers[],
    broken: (reason: string) => void,
  ) {
    const { domain, peer } = link;
    try {
      const mapped = domain.foreign.map(peer, [grantRef(nodes.ring)], 'readwrite');
      if (typeof mapped === 'number') {
        throw new DeviceError(
          'EINVAL',
          `ctrl-ring-ref ${nodes.ring} cannot be mapped: ${grantStatusName(mapped)}`,
        );
      }
      this.releases.push(() => mapped.unmap());
      const ring = new BackRing(mapped.area.words, mapped.area.base >> 2, CTRL_RING);
      if (ring.requests() === RING_BROKEN) {
        throw new DeviceError('EINVAL', 'control ring indices are more than a ring apart');
      }
      const port = domain.events.bindInterdomain(peer, eventChannelPort(nodes.port));
      if (typeof port === 'string')
        throw new DeviceError(port, `event channel ${nodes.port} cannot be bound`);
      this.releases.push(() => domain.events.close(port));
      const page = domain.memory.allocate(1);
      if (page === undefined) throw new DeviceError('ENOMEM', 'no page for control requests');
      this.releases.push(() => domain.memory.free(page));
      const copies = batches.borrow(domain);
      this.releases.push(() => batches.giveBack(domain, copies));
      const requests = new ControlRequests(peer, hash, staging, copies, page);
      this.ring = new ControlRing(domain, ring, port, requests, broken);
      this.releases.push(() => this.ring.close());
      this.releases.push(domain.events.listen(port, () => this.ring.onEvent()));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** The pass that needs no event. */
  start(): void {
    this.ring.onEvent();
  }

  /** Lets go of everything, in the reverse order of taking. Idempotent. */
  close(): void {
    for (const release of this.releases.splice(0).reverse()) release();
  }
}
