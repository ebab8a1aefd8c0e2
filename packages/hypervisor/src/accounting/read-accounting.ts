import type { GrantTableCounters } from '@netchannel2/grant-table';
import type { DomainAccounting } from '@netchannel2/xen';
import { Block } from '../domains/domain-block';
import type { DomainTable } from '../domains/domain-table';
import { PortState, portRecord, portState } from '../event-channels/port-record';
import { Counter, counterBase } from './counters';

/** Ports through which the domain talks xenstore, or serves others who do: they come and go with the domains. */
function standingPorts(domains: DomainTable, block: number): number {
  const { words } = domains;
  const serving = words[block + Block.standingPorts] as number;
  if ((words[block + Block.storePage] as number) === 0) return serving;
  const record = portRecord(words, block, words[block + Block.storePort] as number);
  const open = record >= 0 && portState(words, record) > PortState.reserved;
  return open ? serving + 1 : serving;
}

/** A domain's counters at this moment, put together from where each is counted. */
export function readAccounting(
  domains: DomainTable,
  block: number,
  grants: GrantTableCounters,
): DomainAccounting {
  const { doubles } = domains.memory;
  const base = counterBase(block);
  const count = (counter: number): number => doubles[base + counter] as number;
  const published = count(Counter.grantsPublished);
  const revoked = count(Counter.grantsRevoked);
  const notifications = count(Counter.notifications);
  return {
    cpuNanoseconds: Math.round(count(Counter.cpuNanoseconds)),
    grantOperations: published + revoked + grants.elements,
    grantsPublished: published,
    grantsRevoked: revoked,
    grantMaps: grants.maps,
    grantUnmaps: grants.unmaps,
    grantCopies: grants.copies,
    bytesCopiedBy: count(Counter.bytesCopied) + grants.bytesCopiedBy,
    bytesCopiedFor: grants.bytesCopiedFor,
    notifications,
    hypercalls: count(Counter.hypercalls) + notifications + grants.hypercalls,
    activeGrants: grants.activeGrants,
    mappings: grants.mappings,
    ports: (domains.words[block + Block.openPorts] as number) - standingPorts(domains, block),
  };
}
