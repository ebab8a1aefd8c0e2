import type { DomainId, GrantCopyBatch, GrantRef, GrantStatus, MemoryArea } from '@netchannel2/xen';
import { DOMID_SELF, PAGE_SHIFT } from '@netchannel2/xen';
import type { FrameTable } from '../machine/frame-table';
import type { GrantHypercall } from './hypercall';

/** struct gnttab_copy: 40 bytes; offsets in 32-bit words (spec grant-tables.md §3). */
export const COPY_BYTES = 40;
const COPY_WORDS = 10;
const SOURCE = 0;
const SOURCE_DOMID_OFFSET = 2;
const TARGET = 4;
const TARGET_DOMID_OFFSET = 6;
const LENGTH_FLAGS = 8;
const STATUS = 9;
const SOURCE_GREF = 1 << 16;
const TARGET_GREF = 2 << 16;
const GNTTABOP_COPY = 5;
/** A guest frame no domain has: a side that is not the domain's own page fails with Xen's status. */
const NO_FRAME = -1;

/**
 * Elements are written where Xen reads them, so that submitting is one hypercall and nothing else. Their memory comes zeroed,
 * so that what is always 0 (the upper word of references and frames) is never written.
 */
export class SimulatedCopyBatch implements GrantCopyBatch {
  #words: Int32Array;
  #first: number;
  #next: number;
  #length = 0;

  /** @param buffer the domain's own memory for the elements; the batch keeps it. */
  constructor(
    readonly capacity: number,
    private readonly buffer: MemoryArea,
    private readonly domid: DomainId,
    private readonly frames: FrameTable,
    private readonly hypercall: GrantHypercall,
  ) {
    this.#words = buffer.words;
    this.#first = buffer.base >>> 2;
    this.#next = this.#first;
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
    const words = this.#words;
    const element = this.#next;
    const address = target.base + targetOffset;
    words[element + SOURCE] = ref;
    words[element + SOURCE_DOMID_OFFSET] = owner | (offset << 16);
    words[element + TARGET] = this.#ownFrame(address);
    words[element + TARGET_DOMID_OFFSET] = DOMID_SELF | ((address & 0xfff) << 16);
    words[element + LENGTH_FLAGS] = length | SOURCE_GREF;
    this.#added(element);
  }

  addToGrant(
    source: MemoryArea,
    sourceOffset: number,
    owner: DomainId,
    ref: GrantRef,
    offset: number,
    length: number,
  ): void {
    const words = this.#words;
    const element = this.#next;
    const address = source.base + sourceOffset;
    words[element + SOURCE] = this.#ownFrame(address);
    words[element + SOURCE_DOMID_OFFSET] = DOMID_SELF | ((address & 0xfff) << 16);
    words[element + TARGET] = ref;
    words[element + TARGET_DOMID_OFFSET] = owner | (offset << 16);
    words[element + LENGTH_FLAGS] = length | TARGET_GREF;
    this.#added(element);
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
    const words = this.#words;
    const element = this.#next;
    words[element + SOURCE] = sourceRef;
    words[element + SOURCE_DOMID_OFFSET] = sourceOwner | (sourceOffset << 16);
    words[element + TARGET] = targetRef;
    words[element + TARGET_DOMID_OFFSET] = targetOwner | (targetOffset << 16);
    words[element + LENGTH_FLAGS] = length | SOURCE_GREF | TARGET_GREF;
    this.#added(element);
  }

  get elements(): MemoryArea {
    return this.buffer;
  }

  append(count: number): void {
    this.#next += count * COPY_WORDS;
    this.#length += count;
  }

  submit(): void {
    if (this.#length === 0) return;
    this.hypercall(GNTTABOP_COPY, this.buffer.base, this.#length);
  }

  status(index: number): GrantStatus {
    const word = this.#words[this.#first + index * COPY_WORDS + STATUS] as number;
    return ((word << 16) >> 16) as GrantStatus;
  }

  /** The domain has ended and its memory is not its own any more: elements go into a copy nobody reads. */
  detach(): void {
    this.#words = new Int32Array(this.capacity * COPY_WORDS);
    this.#first = 0;
    this.clear();
  }

  clear(): void {
    this.#length = 0;
    this.#next = this.#first;
  }

  #added(element: number): void {
    // An element Xen never came to must not look as if it had succeeded.
    this.#words[element + STATUS] = NO_FRAME;
    this.#next = element + COPY_WORDS;
    this.#length++;
  }

  #ownFrame(address: number): number {
    const frame = address >>> PAGE_SHIFT;
    return this.frames.owner(frame) === this.domid ? this.frames.guestFrame(frame) : NO_FRAME;
  }
}
