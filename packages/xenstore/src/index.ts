/**
 * xenstore: a daemon that speaks the wire protocol of Xen's, and a client for ours and theirs.
 *
 * @packageDocumentation
 */
export * from './byte-duplex';
export { XenStoreClient, type XenStoreClientOptions } from './client';
export type { ClientConnectionOptions } from './client-connection';
export { dumpToFile, restoreFromFile } from './dump-file';
export { DEFAULT_QUOTAS, type QuotaName, type Quotas } from './quotas';
export { RING_ERROR, RING_PAGE, RING_SIZE } from './ring-layout';
export { RingClientEnd, RingServerEnd } from './ring-stream';
export {
  type XenStoreCaller,
  type XenStoreDomainStatistics,
  XenStoreServer,
  type XenStoreServerOptions,
  type XenStoreStatistics,
} from './server';
export { SnapshotError, type StoreSnapshot } from './snapshot';
export { connectXenStore, type ReconnectPolicy, type SocketClientOptions } from './socket-client';
export {
  connectSocket,
  listenOnSocket,
  listenPrivately,
  type XenStoreListener,
  xenStoreSocketPath,
} from './unix-socket';
export { MESSAGE_TYPE, type MessageName } from './wire';
