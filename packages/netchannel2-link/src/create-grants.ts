import type { LinkBlock } from './link-block';
import type { LinkSettings } from './link-settings';
import type { PacketGrants } from './packet-grants';
import { SharedPageGrants } from './shared-page-grants';
import { SubPageGrants } from './sub-page-grants';

/** How this end's packets are reached: by exact grants where both ends can, else in pages shared whole. */
export function createGrants(
  { domain, peer, fragmentKind }: LinkSettings,
  capacity: number,
  block: LinkBlock | undefined,
): PacketGrants {
  const { entries } = domain.grants;
  const exact = fragmentKind === 'receiver_copy' && domain.capabilities.subPageGrants;
  return exact && entries?.version2 === true
    ? new SubPageGrants(entries, peer, capacity, domain.scheduler, block)
    : new SharedPageGrants(domain, peer, capacity);
}
