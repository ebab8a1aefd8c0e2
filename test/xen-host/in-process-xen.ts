import { GrantStatus } from '@netchannel2/xen';
import type {
  EventChannelLibrary,
  GrantMapLibrary,
  GrantShareLibrary,
  NativeMemory,
  XenLibraries,
} from '@netchannel2/xen-host';
import { PageFile } from './page-file';

const EINVAL = -22;
const ENOMEM = -12;
const ENOTCONN = -107;
const FIRST_REF = 8;
/** Linux's gntalloc shares as many. */
const SHAREABLE = 1024;

interface Grant {
  readonly page: number;
  readonly peer: number;
  readonly writable: boolean;
  mappings: number;
  ended: boolean;
}

interface Channel {
  readonly remote: number;
  /** The other end, once bound. */
  peer: { readonly domid: number; readonly port: number } | undefined;
  pending: boolean;
  masked: boolean;
}

interface XenDomain {
  readonly grants: Map<number, Grant>;
  readonly channels: Map<number, Channel>;
  nextRef: number;
  readonly queue: number[];
  wake: (() => void) | undefined;
}

/**
 * Xen's libraries for several domains inside one process, over pages that are really mapped twice: what the kernel's devices
 * do, as far as `XenLibraries` lets one see. With it the code for a real host runs where there is no Xen.
 */
export class InProcessXen {
  private readonly pages = new PageFile(2048);
  private readonly domains = new Map<number, XenDomain>();

  constructor(private readonly memory: NativeMemory) {}

  /** The libraries as processes of `domid` find them. */
  domain(domid: number): XenLibraries {
    const own: XenDomain = {
      grants: new Map(),
      channels: new Map(),
      nextRef: FIRST_REF,
      queue: [],
      wake: undefined,
    };
    this.domains.set(domid, own);
    return {
      memory: this.memory,
      shareablePages: SHAREABLE,
      openGrantMap: () => this.grantMap(domid),
      openGrantShare: () => this.grantShare(own),
      openEventChannels: () => this.eventChannels(domid, own),
    };
  }

  /** Grants still in the tables and channels still open: 0 when everything was let go. */
  get left(): number {
    let count = 0;
    for (const { grants, channels } of this.domains.values()) count += grants.size + channels.size;
    return count;
  }

  close(): void {
    this.pages.close();
  }

  private grantShare(own: XenDomain): GrantShareLibrary {
    const shared = new Map<number, readonly number[]>();
    const share = (peer: number, refs: Uint32Array, writable: boolean): number => {
      const pages = this.pages.take(refs.length);
      if (pages === undefined) return ENOMEM;
      for (const [index, page] of pages.entries()) {
        const ref = own.nextRef++;
        own.grants.set(ref, { page, peer, writable, mappings: 0, ended: false });
        refs[index] = ref;
      }
      const address = this.pages.mapAt(pages);
      shared.set(address, Array.from(refs));
      return address;
    };
    return {
      share,
      shareNotifying: share,
      unshare: (address, pageCount) => {
        const refs = shared.get(address);
        if (refs === undefined || refs.length !== pageCount) return EINVAL;
        shared.delete(address);
        this.pages.unmapAt(address, pageCount);
        for (const ref of refs) this.endGrant(own, ref);
        return 0;
      },
      close: () => {},
    };
  }

  /** As the kernel does: a grant in use stays until its last user goes. */
  private endGrant(own: XenDomain, ref: number): void {
    const grant = own.grants.get(ref);
    if (grant === undefined) return;
    grant.ended = true;
    if (grant.mappings > 0) return;
    own.grants.delete(ref);
    this.pages.giveBack(grant.page);
  }

  private lookUp(domid: number, owner: number, ref: number, write: boolean): Grant | GrantStatus {
    const domain = this.domains.get(owner);
    if (domain === undefined) return GrantStatus.badDomain;
    if (ref >= 0x4000) return GrantStatus.badGrantRef;
    const grant = domain.grants.get(ref);
    if (grant === undefined || grant.peer !== domid || (write && !grant.writable)) {
      return GrantStatus.generalError;
    }
    return grant;
  }

  private grantMap(domid: number): GrantMapLibrary {
    const mapped = new Map<number, { readonly owner: number; readonly refs: readonly number[] }>();
    let maximum = Number.POSITIVE_INFINITY;
    let pagesMapped = 0;
    const map = (owner: number, refs: Uint32Array, writable: boolean): number => {
      if (pagesMapped + refs.length > maximum) return ENOMEM;
      const grants: Grant[] = [];
      for (const ref of refs) {
        const grant = this.lookUp(domid, owner, ref, writable);
        if (typeof grant === 'number') return EINVAL;
        grants.push(grant);
      }
      for (const grant of grants) grant.mappings++;
      pagesMapped += refs.length;
      const address = this.pages.mapAt(grants.map(({ page }) => page));
      mapped.set(address, { owner, refs: Array.from(refs) });
      return address;
    };
    return {
      map,
      mapNotifying: (owner, ref, writable) => map(owner, Uint32Array.of(ref), writable),
      unmap: (address, pageCount) => {
        const mapping = mapped.get(address);
        if (mapping === undefined || mapping.refs.length !== pageCount) return EINVAL;
        mapped.delete(address);
        pagesMapped -= pageCount;
        this.pages.unmapAt(address, pageCount);
        const owner = this.domains.get(mapping.owner);
        for (const ref of mapping.refs) {
          const grant = owner?.grants.get(ref);
          if (owner === undefined || grant === undefined) continue;
          grant.mappings--;
          if (grant.ended) this.endGrant(owner, ref);
        }
        return 0;
      },
      copy: (segments, count) => this.copy(domid, segments, count),
      setMaximum: (count) => {
        if (count < pagesMapped) return EINVAL;
        maximum = count;
        return 0;
      },
      close: () => {},
    };
  }

  /** 24 bytes a segment; one that no kernel takes fails the whole call (spec grant-tables.md §12.2). */
  private copy(domid: number, segments: Int32Array, count: number): number {
    for (let index = 0; index < count; index++) {
      const at = index * 6;
      const word = (offset: number): number => segments[at + offset] ?? 0;
      const length = word(4) & 0xffff;
      const flags = word(4) >>> 16;
      if (flags === 0) return EINVAL;
      segments[at + 5] = GrantStatus.okay;
      if (length === 0) continue;
      let status: number = GrantStatus.okay;
      const side = (offset: number, foreign: boolean, write: boolean): number => {
        if (!foreign) return (word(offset) >>> 0) + word(offset + 1) * 0x1_0000_0000;
        const start = word(offset + 1) & 0xffff;
        const grant = this.lookUp(domid, word(offset + 1) >>> 16, word(offset) >>> 0, write);
        if (typeof grant !== 'number') return this.pages.addressOf(grant.page) + start;
        if (status === GrantStatus.okay) status = grant;
        return 0;
      };
      for (const [offset, flag] of [
        [1, 1],
        [3, 2],
      ] as const) {
        if ((flags & flag) !== 0 && (word(offset) & 0xffff) + length > 4096) return EINVAL;
      }
      const source = side(0, (flags & 1) !== 0, false);
      const target = side(2, (flags & 2) !== 0, true);
      if (status === GrantStatus.okay) this.pages.copy(target, source, length);
      segments[at + 5] = status & 0xffff;
    }
    return 0;
  }

  private eventChannels(domid: number, own: XenDomain): EventChannelLibrary {
    const open = (remote: number, peer: Channel['peer']): number => {
      let port = 1;
      while (own.channels.has(port)) port++;
      own.channels.set(port, { remote, peer, pending: false, masked: false });
      return port;
    };
    const raise = (target: XenDomain, port: number): void => {
      const channel = target.channels.get(port);
      if (channel === undefined) return;
      if (channel.masked) {
        channel.pending = true;
        return;
      }
      channel.masked = true;
      target.queue.push(port);
      target.wake?.();
    };
    const unbind = (port: number): number => {
      const channel = own.channels.get(port);
      if (channel === undefined) return ENOTCONN;
      own.channels.delete(port);
      const peer = channel.peer && this.domains.get(channel.peer.domid)?.channels.get(channel.peer.port);
      if (peer) peer.peer = undefined;
      return 0;
    };
    return {
      allocateUnbound: (remote) => open(remote, undefined),
      bindInterdomain: (remote, remotePort) => {
        const far = this.domains.get(remote)?.channels.get(remotePort);
        if (far === undefined || far.remote !== domid || far.peer !== undefined) return EINVAL;
        const port = open(remote, { domid: remote, port: remotePort });
        far.peer = { domid, port };
        raise(own, port);
        return port;
      },
      unbind,
      notify: (port) => {
        const peer = own.channels.get(port)?.peer;
        const target = peer && this.domains.get(peer.domid);
        if (peer && target) raise(target, peer.port);
        return 0;
      },
      receive: (ports) => {
        const taken = own.queue.splice(0, ports.length);
        ports.set(taken);
        return taken.length;
      },
      unmask: (ports, count) => {
        for (const port of ports.subarray(0, count)) {
          const channel = own.channels.get(port);
          if (channel === undefined || !channel.masked) continue;
          channel.masked = false;
          if (!channel.pending) continue;
          channel.pending = false;
          raise(own, port);
        }
      },
      reset: () => {
        own.queue.length = 0;
      },
      whenReadable: (callback) => {
        let closed = false;
        const turn = (): void => {
          if (closed || own.queue.length === 0) return;
          callback();
          if (own.queue.length > 0) setImmediate(turn);
        };
        own.wake = () => setImmediate(turn);
        return {
          close: () => {
            closed = true;
          },
        };
      },
      close: () => {
        for (const port of [...own.channels.keys()]) unbind(port);
      },
    };
  }
}
