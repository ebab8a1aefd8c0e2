/**
 * What every operation works on: the host, its memory, the options of this Xen.
 *
 * @packageDocumentation
 */
import { DOMID_SELF } from '@netchannel2/xen';
import type { GrantTableHost } from './host';

/** Command-line options of the simulated Xen that concern grant tables. */
export interface GrantTableOptions {
  /** `gnttab=transitive`. Default true. */
  readonly transitive?: boolean;
  /** `gnttab=transfer`. Default true. */
  readonly transfer?: boolean;
  /**
   * What a copy of length 0 does: `'succeed'` without looking at anything, as current Xen, or `'check'` all fields first,
   * as Xen 4.17. Default `'succeed'`.
   */
  readonly zeroLengthCopy?: 'succeed' | 'check';
  /**
   * Whether a copy that is the first to write through a grant in use checks that its entry still names what is pinned
   * (XSA-500, from July 2026 on: 4.17.7). Without, it writes to the page that is pinned. Default true.
   */
  readonly pinnedCopyCheck?: boolean;
  /**
   * When a side of a copy that names a frame of another domain is refused: `'claimed'`, each one as its page would be claimed,
   * the source's before the destination (XSA-523, from November 2026 on), or `'looked-up'`, before anything is claimed, and then
   * not again behind an element that names the same two domains, where there is no such page. Default `'claimed'`.
   */
  readonly foreignFrameCheck?: 'claimed' | 'looked-up';
  /** `'arm'` has cache_flush, and lets HVM-like domains use every operation. Default `'x86'`. */
  readonly architecture?: 'x86' | 'arm';
  /** How long, in milliseconds, a change of a whole table waits for operations in flight. Default 1000. */
  readonly lockPatience?: number;
}

/** Limits of one domain, fixed at its creation. */
export interface GrantLimits {
  /** Grant frames, at least 1. */
  readonly maxGrantFrames: number;
  /** Maptrack frames of 256 handles. */
  readonly maxMaptrackFrames: number;
  readonly maxVersion: number;
}

export interface GrantMachine {
  readonly host: GrantTableHost;
  readonly words: Int32Array;
  readonly halfwords: Uint16Array;
  readonly options: Required<GrantTableOptions>;
}

export function createGrantMachine(host: GrantTableHost, options: GrantTableOptions): GrantMachine {
  return {
    host,
    words: host.words,
    halfwords: host.halfwords,
    options: {
      transitive: options.transitive ?? true,
      transfer: options.transfer ?? true,
      zeroLengthCopy: options.zeroLengthCopy ?? 'succeed',
      pinnedCopyCheck: options.pinnedCopyCheck ?? true,
      foreignFrameCheck: options.foreignFrameCheck ?? 'claimed',
      architecture: options.architecture ?? 'x86',
      lockPatience: options.lockPatience ?? 1000,
    },
  };
}

/** Word index of the block of a domain with a live table, 0 if there is none. */
export function liveTable(machine: GrantMachine, domid: number): number {
  const block = machine.host.grantTableBlock(domid) >>> 2;
  return block !== 0 && machine.words[block] !== 0 ? block : 0;
}

/** Like {@link liveTable}, with DOMID_SELF standing for the caller. */
export function resolveTable(machine: GrantMachine, caller: number, domid: number): number {
  return liveTable(machine, domid === DOMID_SELF ? caller : domid);
}
