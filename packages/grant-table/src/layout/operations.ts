/**
 * Numbers of the grant-table hypercall (spec grant-tables.md §2.3, §2.4).
 *
 * @packageDocumentation
 */

export const GNTTABOP_map_grant_ref = 0;
export const GNTTABOP_unmap_grant_ref = 1;
export const GNTTABOP_setup_table = 2;
/** Refused everywhere with -ENOSYS. */
export const GNTTABOP_dump_table = 3;
export const GNTTABOP_transfer = 4;
export const GNTTABOP_copy = 5;
export const GNTTABOP_query_size = 6;
export const GNTTABOP_unmap_and_replace = 7;
export const GNTTABOP_set_version = 8;
export const GNTTABOP_get_status_frames = 9;
export const GNTTABOP_get_version = 10;
export const GNTTABOP_swap_grant_ref = 11;
export const GNTTABOP_cache_flush = 12;

/** Bits of the command that name the operation; the rest is a continuation's. */
export const GNTTABOP_CMD_MASK = 0xfff;

export const GNTMAP_device_map = 0x01;
export const GNTMAP_host_map = 0x02;
export const GNTMAP_readonly = 0x04;
/** PV: the mapping may be used by user space. */
export const GNTMAP_application_map = 0x08;
/** PV: `host_addr` is the machine address of a page-table entry. */
export const GNTMAP_contains_pte = 0x10;
/** PV: first of the 16 bits that go to the page-table entry's available bits. */
export const GNTMAP_guest_avail0 = 0x10000;

export const GNTCOPY_source_gref = 1;
export const GNTCOPY_dest_gref = 2;

export const GNTTAB_CACHE_CLEAN = 1;
export const GNTTAB_CACHE_INVAL = 2;
export const GNTTAB_CACHE_SOURCE_GREF = 0x8000_0000;

/** Elements of an unmap batch between two flushes of stale mappings. */
export const GNTTAB_UNMAP_BATCH_SIZE = 32;
