/**
 * Layout of shared grant entries and status words (spec grant-tables.md §1). Functions take the 32-bit view of the
 * memory and the index of the entry's first word in it.
 *
 * @packageDocumentation
 */

/** log2 of the entries in a frame of version 1: 512 of 8 bytes. */
export const V1_ENTRIES_SHIFT = 9;
export const V1_ENTRIES_PER_FRAME = 1 << V1_ENTRIES_SHIFT;
/** log2 of the entries in a frame of version 2: 256 of 16 bytes. */
export const V2_ENTRIES_SHIFT = 8;
export const V2_ENTRIES_PER_FRAME = 1 << V2_ENTRIES_SHIFT;
/** log2 of the status words in a status frame: 2048 of 2 bytes. */
export const STATUS_WORDS_SHIFT = 11;
export const STATUS_WORDS_PER_FRAME = 1 << STATUS_WORDS_SHIFT;

/** 32-bit words of an entry. */
export const V1_ENTRY_WORDS = 2;
export const V2_ENTRY_WORDS = 4;

/** Status frames that go with `grantFrames` frames of version 2. */
export function statusFramesFor(grantFrames: number): number {
  return (grantFrames + 7) >>> 3;
}

/** Grant frames that `statusFrames` status frames can serve. */
export function grantFramesServedBy(statusFrames: number): number {
  return statusFrames << 3;
}

/** Entries in `frames` frames of a table of `version`. */
export function entriesIn(frames: number, version: number): number {
  return frames << (version === 1 ? V1_ENTRIES_SHIFT : V2_ENTRIES_SHIFT);
}

/** The header word `flags | domid << 16`, first in an entry of either version. */
export function headerWord(flags: number, domid: number): number {
  return (flags & 0xffff) | (domid << 16);
}

/** Version 1: word 1 is the guest frame. */
export const V1_FRAME = 1;

/** Version 2: word 1 is padding, or `page_off | length << 16`, or `trans_domid`. */
export const V2_RANGE = 1;
/** Version 2: words 2 and 3 are the guest frame as u64, low word first; or word 2 the transitive reference. */
export const V2_FRAME = 2;

/** One shared entry, taken apart. */
export interface GrantEntryFields {
  readonly flags: number;
  readonly domid: number;
  /** Guest frame; version 2 reads all 64 bits, exact up to 2^53. */
  readonly frame: number;
  /** Version 2, sub page: start of the range. */
  readonly pageOffset: number;
  /** Version 2, sub page: bytes of the range. */
  readonly length: number;
  /** Version 2, transitive: the domain whose entry is meant. */
  readonly transitiveDomid: number;
  /** Version 2, transitive: the reference in that domain's table. */
  readonly transitiveRef: number;
}

/** Reads an entry of version 1 for display and tests; fields of version 2 are 0. */
export function readEntryV1(words: Int32Array, index: number): GrantEntryFields {
  const header = words[index] as number;
  return {
    flags: header & 0xffff,
    domid: header >>> 16,
    frame: (words[index + V1_FRAME] as number) >>> 0,
    pageOffset: 0,
    length: 0,
    transitiveDomid: 0,
    transitiveRef: 0,
  };
}

/** Reads an entry of version 2 for display and tests, every variant's fields at once. */
export function readEntryV2(words: Int32Array, index: number): GrantEntryFields {
  const header = words[index] as number;
  const range = words[index + V2_RANGE] as number;
  const frameLow = (words[index + V2_FRAME] as number) >>> 0;
  return {
    flags: header & 0xffff,
    domid: header >>> 16,
    frame: ((words[index + V2_FRAME + 1] as number) >>> 0) * 0x1_0000_0000 + frameLow,
    pageOffset: range & 0xffff,
    length: range >>> 16,
    transitiveDomid: range & 0xffff,
    transitiveRef: frameLow,
  };
}

/** Writes a version 1 entry as a guest does: the frame first, the header last. */
export function writeEntryV1(words: Int32Array, index: number, flags: number, domid: number, frame: number) {
  words[index + V1_FRAME] = frame;
  Atomics.store(words, index, headerWord(flags, domid));
}

/** Writes a whole-page entry of version 2; `frame` below 2^53. */
export function writeFullPageV2(
  words: Int32Array,
  index: number,
  flags: number,
  domid: number,
  frame: number,
) {
  words[index + V2_FRAME] = frame | 0;
  words[index + V2_FRAME + 1] = Math.floor(frame / 0x1_0000_0000);
  Atomics.store(words, index, headerWord(flags, domid));
}

/** Writes a sub-page entry of version 2; `flags` should include `GTF_sub_page`. */
export function writeSubPageV2(
  words: Int32Array,
  index: number,
  flags: number,
  domid: number,
  frame: number,
  pageOffset: number,
  length: number,
) {
  words[index + V2_RANGE] = (pageOffset & 0xffff) | (length << 16);
  words[index + V2_FRAME] = frame | 0;
  words[index + V2_FRAME + 1] = 0;
  Atomics.store(words, index, headerWord(flags, domid));
}

/** Writes a transitive entry of version 2; `flags` should have type `GTF_transitive`. */
export function writeTransitiveV2(
  words: Int32Array,
  index: number,
  flags: number,
  domid: number,
  owner: number,
  ownerRef: number,
) {
  words[index + V2_RANGE] = owner & 0xffff;
  words[index + V2_FRAME] = ownerRef;
  Atomics.store(words, index, headerWord(flags, domid));
}
