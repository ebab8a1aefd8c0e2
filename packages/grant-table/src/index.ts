export type { GrantTableHost } from './hypervisor/host';
export { GRANT_TABLE_BLOCK_BYTES } from './hypervisor/table-block';
