import type { DomainId, GrantCopyBatch, GrantRef, MemoryArea } from '@netchannel2/xen';
import { GrantStatus, PAGE_SIZE } from '@netchannel2/xen';
import type { MemoryRegions } from './memory-regions';
import type { GrantMapLibrary } from './native/xen-libraries';

/** One segment of 24 bytes, in 32-bit words (spec grant-tables.md §12.2). */
const SEGMENT_WORDS = 6;
const SOURCE = 0;
const TARGET = 2;
const LENGTH_FLAGS = 4;
const STATUS = 5;
const SOURCE_GREF = 1 << 16;
const TARGET_GREF = 2 << 16;
const TWO_32 = 0x1_0000_0000;

/**
 * Segments as libxengnttab takes them. One impossible segment would make the kernel refuse the whole batch, so such a segment
 * is sent with no length and keeps a status of its own.
 */
export class HostCopyBatch implements GrantCopyBatch {
  readonly #segments: Int32Array;
  /** Statuses decided here, 0 where the kernel decides. */
  readonly #refused: Int8Array;
  #length = 0;
  #anyRefused = false;

  constructor(
    readonly capacity: number,
    private readonly regions: MemoryRegions,
    private readonly library: GrantMapLibrary,
  ) {
    this.#segments = new Int32Array(capacity * SEGMENT_WORDS);
    this.#refused = new Int8Array(capacity);
  }

  get length(): number {
    return this.#length;
  }

  addFromGrant(
    owner: DomainId,
    ref: GrantRef,
    offset: number,
    target: MemoryArea,
    targetOffset: number,
    length: number,
  ): void {
    const at = this.#length * SEGMENT_WORDS;
    this.#putForeign(at + SOURCE, owner, ref, offset, length);
    this.#putOwn(at + TARGET, target, targetOffset);
    this.#finish(at, length, SOURCE_GREF);
  }

  addToGrant(
    source: MemoryArea,
    sourceOffset: number,
    owner: DomainId,
    ref: GrantRef,
    offset: number,
    length: number,
  ): void {
    const at = this.#length * SEGMENT_WORDS;
    this.#putOwn(at + SOURCE, source, sourceOffset);
    this.#putForeign(at + TARGET, owner, ref, offset, length);
    this.#finish(at, length, TARGET_GREF);
  }

  addBetweenGrants(
    sourceOwner: DomainId,
    sourceRef: GrantRef,
    sourceOffset: number,
    targetOwner: DomainId,
    targetRef: GrantRef,
    targetOffset: number,
    length: number,
  ): void {
    const at = this.#length * SEGMENT_WORDS;
    this.#putForeign(at + SOURCE, sourceOwner, sourceRef, sourceOffset, length);
    this.#putForeign(at + TARGET, targetOwner, targetRef, targetOffset, length);
    this.#finish(at, length, SOURCE_GREF | TARGET_GREF);
  }

  submit(): void {
    if (this.#length === 0) return;
    if (this.library.copy(this.#segments, this.#length) >= 0) return;
    // The kernel stopped on the way; which segments it finished cannot be known.
    for (let index = 0; index < this.#length; index++) this.#refuse(index, GrantStatus.generalError);
  }

  status(index: number): GrantStatus {
    const refused = this.#refused[index] as number;
    if (refused !== 0) return refused as GrantStatus;
    const word = this.#segments[index * SEGMENT_WORDS + STATUS] as number;
    return ((word << 16) >> 16) as GrantStatus;
  }

  clear(): void {
    if (this.#anyRefused) this.#refused.fill(0, 0, this.#length);
    this.#anyRefused = false;
    this.#length = 0;
  }

  #putForeign(at: number, domid: DomainId, ref: GrantRef, offset: number, length: number): void {
    this.#segments[at] = ref;
    this.#segments[at + 1] = (offset & 0xffff) | (domid << 16);
    if (offset + length > PAGE_SIZE) this.#refuse(this.#length, GrantStatus.badCopyArgument);
  }

  #putOwn(at: number, area: MemoryArea, offset: number): void {
    const origin = area.byteLength === 0 ? 0 : this.regions.originOf(area.bytes);
    const address = origin + area.base + offset;
    this.#segments[at] = address | 0;
    this.#segments[at + 1] = (address / TWO_32) | 0;
    if (origin === 0) this.#refuse(this.#length, GrantStatus.badPage);
  }

  #finish(at: number, length: number, flags: number): void {
    const refused = this.#refused[this.#length] !== 0;
    this.#segments[at + LENGTH_FLAGS] = (refused ? 0 : length) | flags;
    // A segment the kernel never came to must not look as if it had succeeded.
    this.#segments[at + STATUS] = GrantStatus.generalError & 0xffff;
    this.#length++;
  }

  #refuse(index: number, status: GrantStatus): void {
    this.#refused[index] = status;
    this.#anyRefused = true;
  }
}
