import { parseDomainId } from '@netchannel2/device-registry';
import { type DomainId, domainId, type XenStoreOperations } from '@netchannel2/xen';
import { CommandFailure, ExitCode } from '../command-failure';

/** Names of the domains there are, by id. */
export async function domainNames(store: XenStoreOperations): Promise<ReadonlyMap<DomainId, string>> {
  const names = new Map<DomainId, string>();
  if ((await store.tryRead('/local/domain')) === undefined) return names;
  for (const text of await store.list('/local/domain')) {
    const id = parseDomainId(text);
    const name = await store.tryRead(`/local/domain/${text}/name`);
    if (id !== undefined) names.set(id, name ?? (id === domainId(0) ? 'Domain-0' : `Domain-${id}`));
  }
  return names;
}

/**
 * A domain as people write it: its id or its name.
 *
 * @throws {CommandFailure} naming the domains there are.
 */
export function findDomain(names: ReadonlyMap<DomainId, string>, text: string): DomainId {
  const id = parseDomainId(text);
  if (id !== undefined && names.has(id)) return id;
  for (const [candidate, name] of names) if (name === text) return candidate;
  const known = [...names].map(([candidate, name]) => `${name} (${candidate})`).join(', ');
  throw new CommandFailure(ExitCode.refused, `there is no domain "${text}"; there are ${known || 'none'}`);
}
