import type { DomainAccounting } from '@netchannel2/xen';
import { Block, DomainState } from '../domains/domain-block';
import type { DomainTable } from '../domains/domain-table';

/** Something a domain still holds. */
export interface Leak {
  readonly domid: number;
  readonly kind: 'grants' | 'mappings' | 'ports' | 'zombie frames';
  readonly count: number;
  /** The same in words, for a failing test. */
  readonly message: string;
}

/**
 * Everything domains hold of each other: grants in use, mappings, open ports, pages of dead domains that somebody still
 * maps. Empty after an orderly teardown of all devices.
 */
export function findLeaks(
  domains: DomainTable,
  accounting: (domid: number) => DomainAccounting | undefined,
): Leak[] {
  const leaks: Leak[] = [];
  const add = (domid: number, kind: Leak['kind'], count: number, what: string): void => {
    if (count !== 0) leaks.push({ domid, kind, count, message: `domain ${domid}: ${count} ${what}` });
  };
  for (const domid of domains.ids()) {
    const block = domains.block(domid);
    const counters = accounting(domid);
    if (block === 0 || counters === undefined) continue;
    add(domid, 'grants', counters.activeGrants, 'grants still in use by their grantees');
    add(domid, 'mappings', counters.mappings, 'mappings of other domains’ grants not unmapped');
    add(domid, 'ports', counters.ports, 'event-channel ports not closed');
    if (domains.state(block) === DomainState.dying) {
      const frames = domains.words[block + Block.ownedFrames] as number;
      add(domid, 'zombie frames', frames, 'pages of this dead domain still referenced by others');
    }
  }
  return leaks;
}
