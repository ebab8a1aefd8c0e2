/**
 * Lists of staging buffers named by the control ring's mapping requests (`io/netif.h`, spec vif.md §9): at the beginning of
 * a page, entries of 8 bytes: ref u32 · flags u16 · status u16.
 *
 * @packageDocumentation
 */

/** Words of an entry. */
export const GREF_ENTRY_WORDS = 2;
/** Entries of a list, which is a page long at most. */
export const GREF_LIST_ENTRIES_MAX = 512;
/** Flag of a page the backend may only read. */
export const GREF_READONLY = 1;

export function writeGrefEntry(words: Int32Array, at: number, ref: number, flags: number): void {
  words[at] = ref;
  words[at + 1] = flags & 0xffff;
}
/** The reference, unsigned. */
export function grefEntryRef(words: Int32Array, at: number): number {
  return (words[at] ?? 0) >>> 0;
}
export function grefEntryFlags(words: Int32Array, at: number): number {
  return (words[at + 1] ?? 0) & 0xffff;
}
/** What became of the entry, a `CtrlStatus`. */
export function grefEntryStatus(words: Int32Array, at: number): number {
  return (words[at + 1] ?? 0) >>> 16;
}
export function writeGrefEntryStatus(words: Int32Array, at: number, status: number): void {
  words[at + 1] = ((words[at + 1] ?? 0) & 0xffff) | (status << 16);
}
