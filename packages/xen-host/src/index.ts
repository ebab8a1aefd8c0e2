/**
 * A real Xen host: what a driver sees of Xen, over libxengnttab, libxenevtchn and xenstore.
 *
 * @packageDocumentation
 */
export { HostDomain, openXenHost, type XenHostOptions } from './host-domain';
export type { HostMapping } from './host-foreign-memory';
export type { HostSharedPages } from './host-grant-table';
export { connectHostStore, type HostStoreOptions } from './host-store';
export { koffiLibraries } from './native/koffi-libraries';
export { processMemory } from './native/process-memory';
export type {
  EventChannelLibrary,
  GrantMapLibrary,
  GrantShareLibrary,
  NativeMemory,
  ReadinessWatch,
  UnmapNotification,
  XenLibraries,
} from './native/xen-libraries';
export { XenHostError } from './xen-host-error';
