import { type BypassSetup, freshControlPageFault, MessageType } from '@netchannel2/netchannel2';
import {
  type Domain,
  type DomainId,
  domainId,
  type Errno,
  type EventChannelPort,
  eventChannelPort,
  type GrantAccess,
  grantRef,
  type MappedPages,
} from '@netchannel2/xen';

/** The rings of a bypass as one guest has them: the middle's pages mapped, and a port of its own. */
export interface BypassRings {
  readonly control: MappedPages;
  readonly produce: MappedPages;
  readonly consume: MappedPages;
  readonly port: EventChannelPort;
  /** Unmaps and closes. */
  end(): void;
}

/**
 * Maps what a checked offer names. The frontend-like end allocates a port for the other guest, the backend-like one binds it.
 *
 * @param middle who sent the offer and owns the pages.
 * @returns an errno when anything of it fails; nothing stays mapped then.
 */
export function connectBypassRings(
  domain: Domain,
  middle: DomainId,
  setup: BypassSetup,
): BypassRings | Errno {
  const mapped: MappedPages[] = [];
  const unmapAll = () => {
    for (const pages of mapped) pages.unmap();
  };
  const map = (refs: readonly number[], access: GrantAccess): MappedPages | undefined => {
    const pages = domain.foreign.map(middle, refs.map(grantRef), access);
    if (typeof pages === 'number') return undefined;
    mapped.push(pages);
    return pages;
  };
  const backend = setup.type === MessageType.bypassBackend;
  const control = map([setup.controlRef], 'readwrite');
  const a = map(setup.producerRefs, backend ? 'readonly' : 'readwrite');
  const b = map(setup.consumerRefs, backend ? 'readwrite' : 'readonly');
  if (control === undefined || a === undefined || b === undefined) {
    unmapAll();
    return 'EINVAL';
  }
  if (freshControlPageFault(control.area, a.area.byteLength) !== undefined) {
    unmapAll();
    return 'EPROTO';
  }
  const peer = domainId(setup.peerDomain);
  const port = backend
    ? domain.events.bindInterdomain(peer, eventChannelPort(setup.port))
    : domain.events.allocateUnbound(peer);
  if (typeof port === 'string') {
    unmapAll();
    return port;
  }
  return {
    control,
    produce: backend ? b : a,
    consume: backend ? a : b,
    port,
    end: () => {
      domain.events.close(port);
      unmapAll();
    },
  };
}
