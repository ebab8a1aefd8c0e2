/**
 * Bits of a grant entry's `flags`, of a status word and of the 32-bit header word `flags | domid << 16`
 * (`GTF_*` of `public/grant_table.h`; spec grant-tables.md §2.1).
 *
 * @packageDocumentation
 */

/** Bits 0-1: the kind of entry. */
export const GTF_type_mask = 3;
export const GTF_invalid = 0;
export const GTF_permit_access = 1;
export const GTF_accept_transfer = 2;
/** Version 2 only. */
export const GTF_transitive = 3;

/** The grantee may only read. */
export const GTF_readonly = 0x004;
/** Xen: in use. Set for every use, also for writes. In the flags of version 1, in the status word of version 2. */
export const GTF_reading = 0x008;
/** Xen: in use for writing. */
export const GTF_writing = 0x010;
export const GTF_PWT = 0x020;
export const GTF_PCD = 0x040;
export const GTF_PAT = 0x080;
/** Copy only; in version 2 only bytes `[page_off, page_off + length)`. */
export const GTF_sub_page = 0x100;

/** With type `accept_transfer`: Xen is committed to filling the entry. */
export const GTF_transfer_committed = 0x004;
/** With type `accept_transfer`: `frame` is final. */
export const GTF_transfer_completed = 0x008;

/** Either in-use bit. */
export const GTF_in_use = GTF_reading | GTF_writing;

/** References 0-7 belong to the toolstack by convention: 0 console, 1 xenstore. */
export const GNTTAB_NR_RESERVED_ENTRIES = 8;
