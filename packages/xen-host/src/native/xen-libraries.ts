/**
 * What this package needs of Xen's user-space libraries and of the C library, as plain functions over numbers, so that
 * tests put a fake in its place.
 *
 * Addresses are virtual addresses of this process; 47 bits, so a number holds them exactly. A negative result is an errno.
 */

/** Memory of this process that pages live in. */
export interface NativeMemory {
  /** Zeroed private memory at a page border; its pages cost nothing until they are touched. */
  allocate(byteLength: number): number;
  /** The bytes at `address`, without a copy. Whoever looks at them after they were unmapped crashes the process. */
  view(address: number, byteLength: number): ArrayBuffer;
  /**
   * Puts zeroed private memory where a mapping was just removed, so that whoever still holds a view of it finds nothing,
   * and no later mapping comes to lie there.
   *
   * @returns `false` where something else lies there already; it is left alone.
   */
  bury(address: number, byteLength: number): boolean;
  release(address: number, byteLength: number): void;
}

/** What to do when a mapping or a shared page goes, also by the death of this process (spec grant-tables.md §12.4). */
export interface UnmapNotification {
  /** Byte of the page to set to zero. */
  readonly clearByte?: number;
  /** Event channel of this domain to notify. */
  readonly port?: number;
}

/** One handle of libxengnttab. */
export interface GrantMapLibrary {
  /** Address of the pages side by side, or a negative errno, which is `EINVAL` whatever Xen's status was. */
  map(owner: number, refs: Uint32Array, writable: boolean): number;
  mapNotifying(owner: number, ref: number, writable: boolean, notification: UnmapNotification): number;
  /** Exactly what one `map` returned. */
  unmap(address: number, pageCount: number): number;
  /** Carries out `count` segments of 24 bytes (spec grant-tables.md §12.2); each gets a status of its own. */
  copy(segments: Int32Array, count: number): number;
  /** How many grants the handle may have mapped. Newer kernels count none, and the library then answers 0. */
  setMaximum(count: number): number;
  close(): void;
}

/** One handle of libxengntshr. */
export interface GrantShareLibrary {
  /** Address of zeroed pages, each granted to `peer`; their references are written into `refs`. */
  share(peer: number, refs: Uint32Array, writable: boolean): number;
  shareNotifying(peer: number, ref: Uint32Array, writable: boolean, notification: UnmapNotification): number;
  unshare(address: number, pageCount: number): number;
  close(): void;
}

/** One handle of libxenevtchn. Its file descriptor is read and written without blocking. */
export interface EventChannelLibrary {
  allocateUnbound(remote: number): number;
  bindInterdomain(remote: number, remotePort: number): number;
  unbind(port: number): number;
  notify(port: number): number;
  /** Takes ports with events, each masked until it is unmasked; their number, 0 when there are none. */
  receive(ports: Uint32Array): number;
  /** Unmasks the first `count` ports. */
  unmask(ports: Uint32Array, count: number): void;
  /** The kernel's list of ports ran over and events were lost: empties it. */
  reset(): void;
  /** Calls back from the event loop while there are ports to receive. Keeps the process alive until closed. */
  whenReadable(callback: () => void): ReadinessWatch;
  close(): void;
}

/** A file descriptor in the event loop. */
export interface ReadinessWatch {
  close(): void;
}

/** Opens handles. Each call throws a `XenHostError` when library, device or permission is missing. */
export interface XenLibraries {
  readonly memory: NativeMemory;
  openGrantMap(): GrantMapLibrary;
  openGrantShare(): GrantShareLibrary;
  openEventChannels(): EventChannelLibrary;
  /** Pages that libxengntshr may share at once. */
  readonly shareablePages: number;
}
