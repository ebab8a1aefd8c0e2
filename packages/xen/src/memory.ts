/**
 * Memory as a domain sees it: pages of its own, and pages of others that it mapped.
 *
 * An area is a run of bytes inside a larger typed array. On the simulated Xen every area of every domain lies in
 * the one machine memory, so `bytes` and `words` are the same two objects everywhere and only `base` differs; on a
 * real host each mapping has views of its own. Codecs take `(words, base)` and work on both.
 *
 * @packageDocumentation
 */
import type { GuestFrame } from './ids';

/** A run of bytes. Byte `i` of the area is `bytes[base + i]`; 32-bit word `i` is `words[(base >> 2) + i]`. */
export interface MemoryArea {
  readonly bytes: Uint8Array;
  /** The same memory as 32-bit little-endian words; shared and fit for `Atomics` on the simulated Xen. */
  readonly words: Int32Array;
  /** Byte offset of the area's first byte in `bytes`; a multiple of 4096. */
  readonly base: number;
  /** 0 once the area was freed or unmapped: an area that has gone reads as empty, not as somebody else's. */
  readonly byteLength: number;
}

/** One page of 4096 bytes. */
export interface Page extends MemoryArea {
  /** Where the page lies in this domain's address space; what a grant entry for it names. */
  readonly frame: GuestFrame;
}

/** Adjacent pages that can be read and written as one area. */
export interface PageArea extends MemoryArea {
  readonly pages: readonly Page[];
}

/**
 * Code of a domain that works on its memory in WebAssembly: loops over rings and records that are too hot for JavaScript.
 * The base of an area is its address there.
 */
export interface MemoryKernels {
  /**
   * The exports of a module over this memory, which it imports as `machine.memory`: the same for the same module on one
   * thread, so that whoever calls them calls one function.
   *
   * @param module base64.
   */
  load(module: string): Readonly<Record<string, unknown>>;
  /** Counts bytes that such code has moved, as those of `DomainMemory.copy` are counted. */
  countCopied(bytes: number): void;
}

/** A domain's own pages, and the fast ways to move bytes. */
export interface DomainMemory {
  /** `pageCount` zeroed, adjacent pages of this domain, or `undefined` when it has no such run left. */
  allocate(pageCount: number): PageArea | undefined;
  /** Gives pages back. Pages whose grants are still in use must not be freed (XSA-396). */
  free(area: PageArea): void;
  /** `undefined` where the memory is none of WebAssembly's, as on a real host. */
  readonly kernels?: MemoryKernels | undefined;
  /** Pages of this domain that are neither allocated nor lost. */
  readonly freePages: number;

  /**
   * Copies `length` bytes between two areas this domain can reach, without bounds checks beyond the memory's own:
   * offsets and length are the caller's, never a peer's unchecked ones. Ranges may overlap.
   */
  copy(
    target: MemoryArea,
    targetOffset: number,
    source: MemoryArea,
    sourceOffset: number,
    length: number,
  ): void;
  /** Copies heap bytes into an area. */
  copyIn(target: MemoryArea, targetOffset: number, source: Uint8Array): void;
  /**
   * Internet checksum arithmetic (RFC 1071) over a range: the folded 16-bit ones-complement sum, not complemented,
   * started from `initial`, in the byte order of the wire (first byte is the high byte of the first 16-bit word).
   */
  checksum(area: MemoryArea, offset: number, length: number, initial: number): number;
}
