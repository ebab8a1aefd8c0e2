/**
 * One script of grant-table and event-channel operations, made by dom0, which a simulated and a real Xen can both run.
 * Names stand for what differs between machines: pages for frames, slots for handles and ports.
 */

/** A page of a domain, `{ domain: 1, page: 0 }`; a frame by its number; `bad` is a frame nobody has. */
export type PageName =
  | { readonly domain: number; readonly page: number }
  | { readonly frame: number }
  | 'bad';

/** What stands in a version 2 entry beside flags, grantee and frame. */
export type EntryExtra =
  | { readonly offset: number; readonly length: number }
  | { readonly owner: number; readonly ref: number };

export type CopySide =
  | { readonly domain: number; readonly ref: number; readonly offset: number }
  | { readonly domain: number; readonly page: PageName; readonly offset: number };

export interface CopySegment {
  readonly source: CopySide;
  readonly target: CopySide;
  readonly length: number;
}

/** dom0 sends on, closes or unmasks its port in a slot. */
export interface PortOperation {
  readonly op: 'send' | 'close' | 'unmask';
  readonly slot: number;
}

export type ScriptOperation =
  /** A domain writes an entry of its own table: a guest, or dom0. */
  | {
      readonly op: 'entry';
      readonly table: number;
      readonly ref: number;
      readonly flags: number;
      readonly grantee: number;
      readonly page: PageName;
      readonly extra?: EntryExtra;
    }
  /** A guest stores the flags of an entry and nothing else. */
  | { readonly op: 'flags'; readonly table: number; readonly ref: number; readonly flags: number }
  /** GNTTABOP_map_grant_ref; the handle goes into a slot. A host mapping goes to the slot's own address, or to one that cannot be. */
  | {
      readonly op: 'map';
      readonly slot: number;
      readonly domain: number;
      readonly ref: number;
      readonly flags: number;
      readonly host?: 'nowhere';
    }
  /**
   * GNTTABOP_unmap_grant_ref of a slot's handle, with the right bus address, none or a wrong one, and so for the host address,
   * right unless it says otherwise.
   */
  | {
      readonly op: 'unmap';
      readonly slot: number;
      readonly address: 'right' | 'none' | 'wrong';
      readonly host?: 'none' | 'wrong';
    }
  /** dom0 stores a byte through a slot's host mapping, if that may be written. */
  | { readonly op: 'store'; readonly slot: number; readonly offset: number; readonly value: number }
  /** GNTTABOP_set_version of dom0's own table. */
  | { readonly op: 'setVersion'; readonly version: number }
  /** GNTTABOP_swap_grant_ref of dom0's own table. */
  | { readonly op: 'swap'; readonly first: number; readonly second: number }
  | { readonly op: 'copy'; readonly segments: readonly CopySegment[] }
  | { readonly op: 'size'; readonly domain: number }
  | { readonly op: 'version'; readonly domain: number }
  | { readonly op: 'statusFrames'; readonly domain: number; readonly count: number }
  | { readonly op: 'grantCommand'; readonly command: number; readonly count: number }
  /** EVTCHNOP_alloc_unbound for a guest's port. */
  | { readonly op: 'allocate'; readonly slot: number; readonly domain: number; readonly remote: number }
  /** EVTCHNOP_bind_interdomain of dom0 to the port in a slot. */
  | { readonly op: 'bind'; readonly slot: number; readonly remoteSlot: number }
  /** EVTCHNOP_status of the port in a slot; `domain` is another than the owner to be asked. */
  | { readonly op: 'status'; readonly slot: number; readonly domain?: number }
  | PortOperation
  | { readonly op: 'eventCommand'; readonly command: number };

/** What a machine under test offers dom0's user space. */
export interface DifferentialMachine {
  /** dom0's memory for arguments, two pages. */
  readonly argument: DataView;
  /** Its address, as hypercalls take it. */
  readonly argumentAddress: bigint;
  /** Answers 0 or a negative errno. */
  grantTable(command: number, count: number): number;
  eventChannel(command: number): number;
  /** Entries of a guest's table, and status words where it is version 2; of dom0's the entries only, at first of version 1. */
  table(domain: number): { readonly version: 1 | 2; readonly entries: DataView; readonly status?: DataView };
  /** A status word of dom0's own table while that is version 2. Uses the argument pages. */
  ownStatus(ref: number): number;
  /** Where a slot's host mapping goes. */
  hostAddress(slot: number): bigint;
  /** The page a slot's host mapping shows; `busAddress` is what the map answered. */
  hostPage(slot: number, busAddress: bigint): Uint8Array;
  /** A page's frame as its owner names it, and its bytes. */
  page(name: { readonly domain: number; readonly page: number }): {
    readonly frame: bigint;
    readonly bytes: Uint8Array;
  };
}

export const PAGES_PER_DOMAIN = 2;
/** Handles that a script may hold, each with an address for a host mapping. */
export const MAPPING_SLOTS = 24;
export const GUESTS = [1, 2, 3] as const;
/** Guest 1 has a version 1 table, the others version 2. */
export const TABLE_VERSIONS = { 1: 1, 2: 2, 3: 2 } as const;
