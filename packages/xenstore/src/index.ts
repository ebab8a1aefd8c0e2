/**
 * xenstore: a daemon that speaks the wire protocol of Xen's, and a client for ours and theirs.
 *
 * @packageDocumentation
 */
export * from './byte-duplex';
export { XenStoreClient, type XenStoreClientOptions } from './client';
export { DEFAULT_QUOTAS, type QuotaName, type Quotas } from './quotas';
export {
  type XenStoreCaller,
  type XenStoreDomainStatistics,
  XenStoreServer,
  type XenStoreServerOptions,
  type XenStoreStatistics,
} from './server';
