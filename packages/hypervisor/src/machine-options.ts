/**
 * What a simulated machine and its domains are made from.
 *
 * @packageDocumentation
 */
import type { SchedulerLike } from 'rxjs';
import type { DomainLimits } from './domains/domain-table';
import type { StoreService } from './store/store-service';

export interface MachineOptions {
  /** Size of the machine's memory: a multiple of 64 KiB, 4 MiB … 2 GiB. Default 256 MiB, taken lazily by the host. */
  readonly memoryBytes?: number;
  /**
   * Where everything of the machine happens. Under a `VirtualTimeScheduler` or `TestScheduler` a run is deterministic.
   * Default: soon after each kick, for timers `asyncScheduler`.
   */
  readonly scheduler?: SchedulerLike;
  /** Clock of the CPU accounting and of the xenstore daemon, in milliseconds. Default `performance.now`. */
  readonly now?: () => number;
  /** Whether this Xen honours transitive grants (`gnttab=transitive`). Default true. */
  readonly transitiveGrants?: boolean;
  /** The other options of Xen's command line that concern grant tables. */
  readonly grantTables?: GrantTableCommandLine;
  /** The xenstore daemon. Default: one of the machine's own, in process. */
  readonly store?: StoreService;
  /**
   * How guests talk xenstore: through a page of theirs and an event channel, as on Xen, or without either. dom0, where the
   * daemon runs, needs neither. Default `ring`; `in-process` under a `scheduler`, where events travel only while that
   * runs: code that awaits a reply and nothing else would wait for ever.
   */
  readonly guestStore?: 'ring' | 'in-process';
}

/** What Xen's command line says of grant tables; limits are for domains that name none of their own. */
export interface GrantTableCommandLine {
  /** `gnttab_max_frames`. Default 64. */
  readonly maxFrames?: number;
  /** `gnttab_max_maptrack_frames`. Default 1024. */
  readonly maxMaptrackFrames?: number;
  /** `gnttab=max-ver:N`; no domain may be created with more. Default 2. */
  readonly maxVersion?: 1 | 2;
  /** `gnttab=transfer`. Default true. */
  readonly transfer?: boolean;
  /** What a copy of length 0 does: succeed at once as in current Xen (default), or be checked as in 4.17. */
  readonly zeroLengthCopy?: 'succeed' | 'check';
  /** Whether the first copy to write through a grant in use looks at its entry again: XSA-500, 4.17.7. Default true. */
  readonly pinnedCopyCheck?: boolean;
  /** When a copy's side that names another domain's frame is refused: `claimed` since XSA-523 (default), `looked-up` before. */
  readonly foreignFrameCheck?: 'claimed' | 'looked-up';
  /** Which Xen this is: on `arm`, HVM domains may use every operation, and there is cache_flush. Default `x86`. */
  readonly architecture?: 'x86' | 'arm';
}

export interface DomainOptions {
  /** Shown in xenstore and messages. Default `Domain-<id>`. */
  readonly name?: string;
  /** Paravirtual (default) or hardware-virtual: what guest frame numbers mean. */
  readonly kind?: 'pv' | 'hvm';
  /** Pages of RAM, default 2048 (8 MiB). */
  readonly memoryPages?: number;
  /** Pages of grants the domain can map at once, default 4096. */
  readonly mappingPages?: number;
  /** The version its kernel chooses. Default 2; with `maxGrantVersion` 1 it ends up with 1. */
  readonly grantTableVersion?: 1 | 2;
  /** What Xen offers it. Default: this Xen's `grantTables.maxVersion`. */
  readonly maxGrantVersion?: 1 | 2;
  /** Grant frames, at least 1; -1 is the default, this Xen's `maxFrames`. */
  readonly maxGrantFrames?: number;
  /** Maptrack frames of 256 mappings; -1 is the default, this Xen's `maxMaptrackFrames`. */
  readonly maxMaptrackFrames?: number;
  /** Highest event-channel port; default 1023, for the first domain the ABI's limit. */
  readonly maxEventChannelPort?: number;
  /** A control domain. Default: only the first. */
  readonly privileged?: boolean;
  readonly vcpus?: number;
}

/** @throws RangeError when a limit makes no sense. */
export function limitsOf(
  options: DomainOptions,
  xen: GrantTableCommandLine,
  first: boolean,
  privileged: boolean,
): DomainLimits {
  const maxVersion = xen.maxVersion ?? 2;
  const maxGrantVersion = options.maxGrantVersion ?? maxVersion;
  if (maxGrantVersion > maxVersion) {
    throw new RangeError(`maxGrantVersion ${maxGrantVersion} is above what this Xen offers (${maxVersion})`);
  }
  return {
    kind: options.kind ?? 'pv',
    privileged,
    memoryPages: positive('memoryPages', options.memoryPages ?? 2048),
    mappingPages: positive('mappingPages', options.mappingPages ?? 4096),
    vcpus: options.vcpus ?? 1,
    maxGrantFrames: limit('maxGrantFrames', options.maxGrantFrames, xen.maxFrames ?? 64, 1),
    maxMaptrackFrames: limit(
      'maxMaptrackFrames',
      options.maxMaptrackFrames,
      xen.maxMaptrackFrames ?? 1024,
      0,
    ),
    maxGrantVersion,
    maxEventChannelPort: options.maxEventChannelPort ?? (first ? -1 : 1023),
    wordBits: 64,
  };
}

function positive(name: string, value: number): number {
  if (!Number.isInteger(value) || value < 1)
    throw new RangeError(`${name} must be a whole number from 1, not ${value}`);
  return value;
}

/** A limit of the toolstack's, where -1 stands for the hypervisor's default. */
function limit(name: string, value: number | undefined, standard: number, least: number): number {
  const chosen = value === undefined || value === -1 ? standard : value;
  if (!Number.isInteger(chosen) || chosen < least)
    throw new RangeError(
      `${name} must be a whole number from ${least}, or -1 for the default, not ${chosen}`,
    );
  return chosen;
}
