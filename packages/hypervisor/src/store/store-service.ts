import type { XenStore } from '@netchannel2/xen';
import type { ByteDuplex, XenStoreListener } from '@netchannel2/xenstore';

/** The xenstore daemon as the machine needs it: who exists, and a connection for each. */
export interface StoreService {
  /** A connection in the name of a domain; it lives until the domain is released. */
  connect(domid: number, privileged: boolean): XenStore;
  /** Serves a domain over a transport that another thread holds the other end of. */
  attach(domid: number, privileged: boolean, transport: ByteDuplex): void;
  /** Serves an unprivileged domain through its ring page, once its home is there. */
  attachRing(domid: number, ring: ByteDuplex): void;
  /** A domain was created: its home directory exists from now on. */
  introduce(domid: number, name: string): void;
  /** A domain is being destroyed: its connection ends now, its home and whatever else it owns are gone a little later. */
  release(domid: number): void;
  /** Serves a unix socket besides, as the daemon of a real host does; it closes with the machine. */
  listen(path?: string): Promise<XenStoreListener>;
  /** The machine is switched off. */
  close(): void;
}
