/**
 * What the hypervisor side of grant tables needs of the machine it runs on. `hypervisor` implements it over the machine
 * memory; the tests of this package over a flat buffer. All state the operations touch lies in shared memory, because a
 * hypercall runs on the caller's thread and several run at once.
 *
 * Addresses are byte offsets into the machine memory, below 2^31; machine frame `m` lies at `m << 12`. Pointers inside
 * hypercall arguments are such addresses too.
 *
 * Lifetime of pages. A mapping holds references ({@link GrantTableHost.acquirePage}). A copy of a kernel holds none: it runs
 * under the granter's table lock, and whoever takes a page away from a domain (transfer, balloon, destruction) first removes
 * it from what {@link GrantTableHost.machineFrame} answers, then calls `GrantTableOperations.waitForCopies(domid)`, and
 * only then frees or reassigns it.
 */
export interface GrantTableHost {
  readonly bytes: Uint8Array;
  readonly halfwords: Uint16Array;
  readonly words: Int32Array;

  /** `count` adjacent zeroed pages of Xen's own; the address of the first, or 0 when there are none left. */
  allocateXenPages(count: number): number;
  freeXenPages(address: number, count: number): void;
  /** The domain may from now on map this page of Xen's: a frame of its grant or status table. */
  sharePage(domid: number, machineFrame: number): void;
  /**
   * Takes a page of {@link sharePage} back out of the domain's reach, before Xen frees it.
   *
   * @returns `false`, nothing done, while a PV domain still maps it.
   */
  withdrawPage(domid: number, machineFrame: number): boolean;
  /**
   * Where a page of {@link sharePage} lies in the domain's own space: for PV the machine frame itself, for HVM the guest
   * frame it was added at, -1 if none.
   */
  sharedGuestFrame(domid: number, machineFrame: number): number;

  /**
   * Address of the domain's grant-table block, 0 when `domid` names no domain. Real ids only: DOMID_SELF is resolved by
   * the operations that accept it. A block has `GRANT_TABLE_BLOCK_BYTES` bytes at a multiple of 64, all zero when the
   * machine starts; the host never writes to it, also not when its domain's id is used again.
   */
  grantTableBlock(domid: number): number;
  /** The domain is being destroyed (its id still resolves while references to it are left). */
  isDying(domid: number): boolean;
  /** An HVM/PVH domain, whose host addresses are guest frames; false for PV. */
  isHvm(domid: number): boolean;
  /** XSM's default policy for operations on a target: the caller itself, or a control domain. */
  mayControl(caller: number, target: number): boolean;
  /** Whether hypercall arguments of `caller` may lie at `[address, address + byteLength)`. */
  mayAccess(caller: number, address: number, byteLength: number): boolean;

  /**
   * Machine frame behind a guest frame (0 … 2^32 - 1).
   *
   * @returns -1 where it is no RAM page of the domain itself, -2 while paged out, -3 where `writable` is asked for and
   * the page cannot be written through a grant.
   */
  machineFrame(domid: number, guestFrame: number, writable: boolean): number;
  /** Takes a reference on a page owned by `owner`; false when it is not, or not usable that way. Keeps the owner's id taken. */
  acquirePage(machineFrame: number, owner: number, writable: boolean): boolean;
  releasePage(machineFrame: number, writable: boolean): void;
  /** Owner of a page of RAM, -1 where there is no such page or Xen itself owns it. */
  pageOwner(machineFrame: number): number;

  /**
   * Enters a host mapping at `hostAddress`, an address in the caller's space with its low 12 bits cleared (0 … 2^32 - 1).
   * `flags` are the GNTMAP bits of the operation. An HVM caller that names an address which already holds a grant or
   * foreign mapping is crashed by the host itself.
   *
   * @returns 0 or a negative GNTST status.
   */
  mapHostAddress(caller: number, hostAddress: number, machineFrame: number, flags: number): number;
  /**
   * Removes the grant mapping of `machineFrame` at `hostAddress` and detaches the caller's views of it.
   *
   * @returns 0, or a negative GNTST status with nothing done: no grant mapping of this frame lies there.
   */
  unmapHostAddress(caller: number, hostAddress: number, machineFrame: number, flags: number): number;
  /**
   * `unmap_and_replace` of PV callers: like {@link unmapHostAddress}, then moves the mapping at `newAddress` to
   * `hostAddress`.
   */
  replaceHostAddress(
    caller: number,
    hostAddress: number,
    newAddress: number,
    machineFrame: number,
    flags: number,
  ): number;

  /**
   * First step of a transfer: takes the page at `guestFrame` from its owner, which afterwards has neither page nor
   * address, and waits for uses of it (see above).
   *
   * @returns its machine frame; -1 (nothing done) where there is no page or it is in use by somebody, -2 (nothing done)
   * for other refusals, -3 where removing the address failed and the page is lost to the owner (freed).
   */
  stealPage(owner: number, guestFrame: number): number;
  /** Reserves room for one more page in the domain's allowance; false at its limit or while it is dying. */
  reservePage(domid: number): boolean;
  /** Gives a reservation back. */
  unreservePage(domid: number): void;
  /**
   * Makes a stolen page the domain's own, using up one reservation; false, nothing done, when the domain is dying. It
   * has no guest frame yet.
   */
  assignPage(machineFrame: number, domid: number): boolean;
  /** Gives an own page a guest frame (for PV, whose frames are machine frames, nothing is to be done); false on failure. */
  addToPhysmap(domid: number, guestFrame: number, machineFrame: number): boolean;
  /** Frees a stolen page that belongs to nobody. */
  freeStolenPage(machineFrame: number): void;

  /** Moves bytes inside the machine memory (the copy kernel). */
  copy(targetAddress: number, sourceAddress: number, length: number): void;
  /**
   * A kernel for runs of usual elements of `GNTTABOP_copy`: one side an idle entry of version 1 or 2 that names the
   * caller, the other the caller's own page, nothing wrong with either, and the next element naming another entry. What
   * it does of an element is exactly what the JavaScript of `copy.ts` would do, counters included.
   *
   * @returns how many elements, from the first, it carried out; nothing was done of the next.
   */
  readonly copyPlain?: ((caller: number, address: number, count: number) => number) | undefined;
  /**
   * The same for elements as forwarding has them: either side an idle entry, or both, where the source may be a
   * transitive entry of version 2 (if `transitive` is not 0) that names an idle ordinary one. Waits for no lock.
   */
  readonly copyForwarded?:
    | ((caller: number, address: number, count: number, transitive: number) => number)
    | undefined;
  /**
   * Kernels for runs of usual elements of `GNTTABOP_map_grant_ref` and `GNTTABOP_unmap_grant_ref`: a host mapping alone, of an
   * idle ordinary entry, at an address where nothing is; and its end. What they do of an element is what the JavaScript of
   * `map-grant-ref.ts` and `unmap-grant-ref.ts` would do. They wait for no lock, and add or drop a reference only on a page
   * whose owner's is certain to stay meanwhile (see above).
   *
   * @returns how many elements, from the first, were carried out; nothing was done of the next.
   */
  readonly mapUsual?: ((caller: number, address: number, count: number) => number) | undefined;
  readonly unmapUsual?: ((caller: number, address: number, count: number) => number) | undefined;
  /** A guest broke a rule for which Xen crashes it (spec grant-tables.md §7.2 #2, §7.9 #8). */
  crashDomain(domid: number, reason: string): void;
}
