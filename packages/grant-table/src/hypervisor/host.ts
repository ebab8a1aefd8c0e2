/**
 * What the hypervisor side of grant tables needs of the machine it runs on. `hypervisor` implements it over the machine
 * memory; the tests of this package over a flat buffer. All state the operations touch lies in shared memory, because a
 * hypercall runs on the caller's thread and several run at once.
 *
 * Addresses are byte offsets into the machine memory, below 2^31; machine frame `m` lies at `m << 12`.
 */
export interface GrantTableHost {
  readonly bytes: Uint8Array;
  readonly halfwords: Uint16Array;
  readonly words: Int32Array;

  /** `count` adjacent zeroed pages of Xen's own; the address of the first, or 0 when there are none left. */
  allocateXenPages(count: number): number;
  freeXenPages(address: number, count: number): void;

  /**
   * Address of the domain's grant-table block ({@link GRANT_TABLE_BLOCK_BYTES} bytes, zero at creation), 0 when `domid`
   * names no domain. Real ids only: DOMID_SELF is resolved by the operations that accept it.
   */
  grantTableBlock(domid: number): number;
  /** The domain is being destroyed (its id still resolves while references to it are left). */
  isDying(domid: number): boolean;
  /** An HVM/PVH domain, whose host addresses are guest frames; false for PV. */
  isHvm(domid: number): boolean;
  /** XSM's default policy for operations on a target: the caller itself, or a control domain. */
  mayControl(caller: number, target: number): boolean;

  /** Machine frame behind a guest frame, -1 where it is no RAM page of the domain, -2 while paged out. */
  machineFrame(domid: number, guestFrame: number): number;
  /** Takes a reference on a page owned by `owner`; false when it is not, or not usable that way. Keeps the owner's id taken. */
  acquirePage(machineFrame: number, owner: number, writable: boolean): boolean;
  releasePage(machineFrame: number, writable: boolean): void;

  /**
   * Enters a host mapping at `hostAddress` (a page-aligned address in the caller's space; its high half is 0).
   *
   * @returns 0 or a negative GNTST status.
   */
  mapHostAddress(caller: number, hostAddress: number, machineFrame: number, flags: number): number;
  /** Removes the grant mapping of `machineFrame` at `hostAddress`; 0 or a negative GNTST status, nothing done. */
  unmapHostAddress(caller: number, hostAddress: number, machineFrame: number, flags: number): number;

  /** Moves bytes inside the machine memory (the copy kernel). */
  copy(targetAddress: number, sourceAddress: number, length: number): void;
  /** A guest broke a rule for which Xen crashes it (spec grant-tables.md §7.1 HVM, §7.2 #2). */
  crashDomain(domid: number, reason: string): void;
}
