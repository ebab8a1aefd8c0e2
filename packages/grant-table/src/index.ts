export { atomicEntryAccess, type EntryAccess } from './guest/entry-access';
export { GuestGrantTable, type GuestGrantTableParts } from './guest/guest-grant-table';
export type { GuestPlatform } from './guest/table-frames';
export type { GrantEntryRecord, GrantTableRecord, GrantUse } from './hypervisor/entry-list';
export type { GrantTableHost } from './hypervisor/host';
export type { GrantLimits, GrantTableOptions } from './hypervisor/machine';
export { type GrantTableCounters, GrantTableOperations } from './hypervisor/operations';
export { GRANT_TABLE_BLOCK_BYTES } from './hypervisor/table-block';
