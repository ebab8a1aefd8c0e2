/** What the machine asks of the grant-table operations. */
export interface GrantOperations {
  /** The hypercall: 0 or a negative errno. */
  execute(caller: number, command: number, address: number, count: number): number;
  /** The table a new domain starts with; false when Xen has no memory for it. */
  createTable(domid: number, maxGrantFrames: number, maxMaptrackFrames: number, maxVersion: number): boolean;
  /** First step of a domain's end: all its mappings go. */
  releaseMappings(domid: number): void;
  /** Last step: the table itself. */
  destroyTable(domid: number): void;
  /** Waits until no copy touches the domain's pages. */
  waitForCopies(domid: number): void;
}
