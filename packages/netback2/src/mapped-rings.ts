import { DeviceError } from '@netchannel2/device-registry';
import { freshControlPageFault } from '@netchannel2/netchannel2';
import {
  type Domain,
  type DomainId,
  type EventChannelPort,
  type GrantAccess,
  type GrantRef,
  grantStatusName,
  type MappedPages,
} from '@netchannel2/xen';
import type { FrontendNodes } from './frontend-nodes';

/** A frontend's rings as the backend has them: mapped, checked, and the port bound. */
export class MappedRings {
  private constructor(
    private readonly domain: Domain,
    readonly control: MappedPages,
    readonly consume: MappedPages,
    readonly produce: MappedPages,
    readonly port: EventChannelPort,
  ) {}

  /** @throws {DeviceError} when anything of it fails; nothing stays mapped or bound then. */
  static connect(domain: Domain, peer: DomainId, nodes: FrontendNodes): MappedRings {
    const mapped: MappedPages[] = [];
    const giveUp = (error: DeviceError): never => {
      for (const pages of mapped) pages.unmap();
      throw error;
    };
    const map = (name: string, refs: readonly GrantRef[], access: GrantAccess): MappedPages => {
      const pages = domain.foreign.map(peer, refs, access);
      if (typeof pages === 'number') {
        return giveUp(new DeviceError('EINVAL', `mapping ${name}: ${grantStatusName(pages)}`));
      }
      mapped.push(pages);
      return pages;
    };
    const control = map('control-ring-ref', [nodes.controlRef], 'readwrite');
    const consume = map('prod-ring-ref', nodes.frontendRefs, 'readonly');
    const produce = map('cons-ring-ref', nodes.backendRefs, 'readwrite');
    const fault = freshControlPageFault(control.area, consume.area.byteLength);
    if (fault !== undefined) giveUp(new DeviceError('EPROTO', fault));
    const port = domain.events.bindInterdomain(peer, nodes.port);
    if (typeof port === 'string') return giveUp(new DeviceError(port, `binding event-channel ${nodes.port}`));
    return new MappedRings(domain, control, consume, produce, port);
  }

  end(): void {
    this.domain.events.close(this.port);
    this.control.unmap();
    this.consume.unmap();
    this.produce.unmap();
  }
}
