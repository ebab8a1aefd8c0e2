/**
 * A domain's record in shared memory: one page of Xen's. Offsets are in 32-bit words from the block's word index.
 *
 * What `send` and the grant operations read stays apart from what the domain's own thread counts and from what others
 * write.
 */
import { PAGE_SIZE } from '@netchannel2/xen';

export const BLOCK_BYTES = PAGE_SIZE;
export const MAXIMUM_VCPUS = 8;
export const MAXIMUM_RUNS = 20;
export const VIRQ_COUNT = 24;

export const Block = {
  domid: 0,
  state: 1,
  kind: 2,
  privileged: 3,
  /** Frames owned, zombie frames included. */
  ownedFrames: 4,
  maximumFrames: 5,
  /** Byte address of the shared_info page. */
  sharedInfo: 6,
  /** Word index of the physmap, its first guest frame and its length. */
  physmap: 7,
  physmapBase: 8,
  physmapLength: 9,
  /** First guest frame of the window for grant mappings, which ends with the physmap. */
  windowBase: 10,
  vcpus: 11,
  /** Ports below this number are valid: inside a bucket that exists. */
  validPorts: 12,
  maximumPort: 13,
  /** Ports of the ABI: 4096, or 1024 for a 32-bit guest. */
  portLimit: 14,
  /** Word index of the doorbell of the thread that runs the domain. */
  doorbell: 15,
  maximumGrantFrames: 16,
  maximumMaptrackFrames: 17,
  maximumGrantVersion: 18,
  /** Paused by the toolstack. */
  paused: 19,
  runCount: 20,
  physmapPages: 21,
  /** Bytes of a word of the pending bitmap's selector: 64 or 32 ports per selector bit. */
  selectorShift: 22,
  resetting: 23,
  /** Pairs (first frame, count) of the memory the domain was created with. */
  runs: 24,
  /** Port of each VIRQ; per-vCPU ones have a row per vCPU, the others use row 0. */
  virqPorts: 64,
  /** Word indices of the port-record pages, 256 ports each. */
  portPages: 256,
  eventLock: 288,
  /** Number of pollers, see `poll.ts`. */
  pollers: 304,
  /** What the domain's own thread counts: doubles, see `accounting/counters.ts`. */
  counters: 320,
  /** Low and high half of the bytes others moved for this domain. */
  bytesCopiedForLow: 448,
  bytesCopiedForHigh: 449,
  /** Ports in use. */
  openPorts: 464,
  /** The domain's pages are being given back: none of them can be reached through grants any more. */
  memoryReleased: 480,
  /** Byte address of the page through which the domain talks xenstore, 0 for none, and the domain's port for it. */
  storePage: 496,
  storePort: 497,
  /** Ports by which the store's domain serves others; they stay for as long as the others live. */
  standingPorts: 498,
  /** The grant table's block, 512 bytes. */
  grantTable: 512,
} as const;

export const DomainState = {
  none: 0,
  alive: 1,
  /** Crashed: runs no more, holds everything until it is destroyed. */
  crashed: 2,
  /** Being destroyed; a zombie while its pages are referenced. */
  dying: 3,
} as const;
export type DomainState = (typeof DomainState)[keyof typeof DomainState];

export const DomainKind = { pv: 0, hvm: 1 } as const;

/** A physmap entry: the machine frame in the low bits, its kind in the top four; 0 is empty. */
export const PhysmapKind = {
  ram: 1,
  grantWritable: 2,
  grantReadonly: 3,
  /** A page of Xen's the domain was given: shared_info, grant and status frames. */
  xen: 4,
} as const;
export const PHYSMAP_KIND_SHIFT = 28;
export const PHYSMAP_FRAME_MASK = (1 << PHYSMAP_KIND_SHIFT) - 1;

/** Guest frames between RAM and the mapping window of an HVM domain, for pages of Xen's. */
export const XEN_FRAMES_GAP = 256;
