import type { GrantLimits, GrantTableCounters, GrantTableRecord } from '@netchannel2/grant-table';

/** What the machine asks of the grant-table operations. */
export interface GrantOperations {
  /** The hypercall: 0 or a negative errno. */
  execute(caller: number, command: number, address: number, count: number): number;
  /** The table a new domain starts with; false when Xen has no memory for it. */
  createTable(domid: number, limits: GrantLimits): boolean;
  /** First step of a domain's end: all its mappings go. */
  releaseMappings(domid: number): void;
  /** Last step: the table itself. */
  destroyTable(domid: number): void;
  /** Machine frame of a frame of the domain's table, which grows for it, or a negative errno. */
  tableFrame(domid: number, index: number, status: boolean): number;
  counters(domid: number): GrantTableCounters;
  /** The table as debug key `g` shows it. */
  list(domid: number): GrantTableRecord | undefined;
  /** Waits until no copy touches the domain's pages. */
  waitForCopies(domid: number): void;
}
