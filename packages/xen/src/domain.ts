/**
 * A domain: everything a driver can reach of Xen.
 *
 * @packageDocumentation
 */
import type { SchedulerLike } from 'rxjs';
import type { EventChannels } from './event-channels';
import type { ForeignMemory } from './foreign-memory';
import type { GrantTable } from './grant-table';
import type { DomainId } from './ids';
import type { DomainMemory } from './memory';
import type { XenStore } from './xenstore';

/** What this domain's Xen can do; drivers negotiate down by it. */
export interface DomainCapabilities {
  /** Own grant entries of sub-page kind can be published. */
  readonly subPageGrants: boolean;
  /** Own transitive entries can be published and the host honours them. */
  readonly transitiveGrants: boolean;
  /** A revoke's result can be learned. */
  readonly revokeResult: boolean;
}

/**
 * Work to be done once, soon, in the domain's own context: at the end of the current event pass, or as soon as the
 * domain runs again. One object is reused for ever, so deferring costs no allocation.
 */
export interface DeferredWork {
  /** Owned by the domain: `true` between `defer` and `run`. */
  deferred: boolean;
  run(): void;
}

export interface Domain {
  readonly id: DomainId;
  readonly memory: DomainMemory;
  readonly grants: GrantTable;
  readonly foreign: ForeignMemory;
  readonly events: EventChannels;
  readonly store: XenStore;
  /** Time and order for everything that waits. */
  readonly scheduler: SchedulerLike;
  readonly capabilities: DomainCapabilities;
  /** Queues `work` behind the handlers of the current pass; queued already: nothing happens. */
  defer(work: DeferredWork): void;
}
