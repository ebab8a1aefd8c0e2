import { domainCopies } from '@netchannel2/netchannel2-link';
import { type Domain, type DomainId, GrantStatus, type MemoryArea, NO_GRANT_REF } from '@netchannel2/xen';
import type { FrontendNodes } from './frontend-nodes';

const PROBE_BYTES = 8;

/** Domains of which it is known that their transitive entries work. */
const proved = new WeakSet<Domain>();

/** Whether this domain could grant on what others granted to it, as far as its own table goes. */
export function mayForward(domain: Domain): boolean {
  return domain.capabilities.transitiveGrants && domain.grants.entries?.version2 === true;
}

/**
 * Finds out whether the host honours transitive grants (spec vif2.md §8.3): copies a few bytes of the frontend's ring
 * through an entry of this domain that names itself as receiver. Success holds for all frontends; a failure may be one
 * frontend's doing, so the next one is tried again.
 */
export function provesForwarding(domain: Domain, frontend: DomainId, nodes: FrontendNodes): boolean {
  if (proved.has(domain)) return true;
  const { entries } = domain.grants;
  const inner = nodes.frontendRefs[0];
  const page = domain.memory.allocate(1);
  if (page === undefined) return false;
  const ref = entries?.allocate() ?? NO_GRANT_REF;
  if (entries === undefined || inner === undefined || ref === NO_GRANT_REF) {
    domain.memory.free(page);
    return false;
  }
  entries.publishTransitive(ref, domain.id, frontend, inner, true);
  const works = copyThrough(domain, ref, page) === GrantStatus.okay;
  entries.revokeDeferred(ref);
  domain.memory.free(page);
  if (works) proved.add(domain);
  return works;
}

function copyThrough(domain: Domain, ref: typeof NO_GRANT_REF, target: MemoryArea): GrantStatus {
  const copies = domainCopies(domain);
  copies.addFromGrant(domain.id, ref, 0, target, 0, PROBE_BYTES);
  copies.submit();
  const status = copies.status(0);
  copies.clear();
  return status;
}
