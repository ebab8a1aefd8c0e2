import { DeviceError } from '@netchannel2/device-registry';
import { initialiseControlPage } from '@netchannel2/netchannel2';
import type { Domain, DomainId, EventChannelPort, GrantAccess, SharedPages } from '@netchannel2/xen';

/** The memory and the port a frontend provides: control page, ring A (it produces), ring B (it consumes). */
export class RingMemory {
  private constructor(
    private readonly domain: Domain,
    readonly control: SharedPages,
    readonly produce: SharedPages,
    readonly consume: SharedPages,
    readonly port: EventChannelPort,
  ) {}

  /**
   * Shares fresh rings of 2^order pages each with `peer`.
   *
   * @throws {DeviceError} when pages, references or ports are exhausted; nothing is left behind then.
   */
  static create(domain: Domain, peer: DomainId, order: number): RingMemory {
    const shared: SharedPages[] = [];
    const share = (pages: number, access: GrantAccess) => {
      const area = domain.grants.share(peer, pages, access);
      if (area !== undefined) {
        shared.push(area);
        return area;
      }
      for (const one of shared) one.end();
      throw new DeviceError('ENOMEM', `no pages or grant references left for rings of ${2 << order} pages`);
    };
    const control = share(1, 'readwrite');
    initialiseControlPage(control.area);
    const produce = share(1 << order, 'readonly');
    const consume = share(1 << order, 'readwrite');
    const port = domain.events.allocateUnbound(peer);
    if (typeof port === 'string') {
      for (const one of shared) one.end();
      throw new DeviceError(port, 'no event channel left');
    }
    return new RingMemory(domain, control, produce, consume, port);
  }

  /** The nodes that tell the backend where everything is (spec vif2.md §8.1). */
  nodes(): Record<string, string> {
    const nodes: Record<string, string> = {
      'ring-layout': 'prod-cons',
      'ring-page-order': String(Math.log2(this.produce.refs.length)),
      'control-ring-ref': String(this.control.refs[0]),
      'event-channel': String(this.port),
    };
    this.produce.refs.forEach((ref, page) => {
      nodes[`prod-ring-ref-${page}`] = String(ref);
    });
    this.consume.refs.forEach((ref, page) => {
      nodes[`cons-ring-ref-${page}`] = String(ref);
    });
    return nodes;
  }

  /** Closes the port and stops sharing; pages the backend still maps stay out of use until it lets go. */
  end(): void {
    this.domain.events.close(this.port);
    this.control.end();
    this.produce.end();
    this.consume.end();
  }
}
