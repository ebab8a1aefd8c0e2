import { readFileSync } from 'node:fs';
import koffi from 'koffi';
import {
  EVTCHN,
  GNTALLOC,
  GNTDEV,
  hypervisorType,
  type KernelDevice,
  openFailure,
  requireXen,
} from './device-errors';
import { processMemory } from './process-memory';
import { quietLogger } from './quiet-logger';
import { negativeErrno, SharedLibrary, systemFunction } from './shared-library';
import type {
  EventChannelLibrary,
  GrantMapLibrary,
  GrantShareLibrary,
  UnmapNotification,
  XenLibraries,
} from './xen-libraries';

const PROT_READ = 1;
const PROT_READ_WRITE = 3;
/** "No byte", "no port" in the arguments of the notify calls. */
const NONE = 0xffff_ffff;
const EAGAIN = 11;
const EINTR = 4;
/** `IOCTL_EVTCHN_RESET` (spec event-channels.md §7). */
const EVTCHN_RESET = 0x4505;
/** What gntalloc shares where its module does not say. */
const DEFAULT_SHAREABLE_PAGES = 1024;

const gnttab = new SharedLibrary('libxengnttab.so.1', 'libxengnttab1');
const evtchn = new SharedLibrary('libxenevtchn.so.1', 'libxenevtchn1');

/**
 * Xen's own libraries, through koffi. Each is loaded when it is needed.
 *
 * @throws XenHostError where this machine is no Xen domain.
 */
export function koffiLibraries(): XenLibraries {
  requireXen(hypervisorType());
  return {
    memory: processMemory(),
    openGrantMap: () => openGrantMap(gnttab),
    openGrantShare: () => openGrantShare(gnttab),
    openEventChannels: () => openEventChannels(evtchn),
    shareablePages: readShareablePages(),
  };
}

/** Opens a library's handle; `open` takes a logger and flags and answers a pointer. */
function openHandle(library: SharedLibrary, name: string, device: KernelDevice): unknown {
  const open = library.func(`void *${name}(void *logger, unsigned int flags)`);
  const handle: unknown = open(quietLogger(), 0);
  if (handle === null) throw openFailure(device, koffi.errno());
  return handle;
}

function openGrantMap(library: SharedLibrary): GrantMapLibrary {
  const handle = openHandle(library, 'xengnttab_open', GNTDEV);
  const map = library.func(
    'uintptr_t xengnttab_map_domain_grant_refs(void *h, uint32_t count, uint32_t domid, uint32_t *refs, int prot)',
  );
  const mapNotify = library.func(
    'uintptr_t xengnttab_map_grant_ref_notify(void *h, uint32_t domid, uint32_t ref, int prot, uint32_t byte, uint32_t port)',
  );
  const unmap = library.func('int xengnttab_unmap(void *h, uintptr_t address, uint32_t count)');
  const copy = library.func('int xengnttab_grant_copy(void *h, uint32_t count, void *segments)');
  const setMaximum = library.func('int xengnttab_set_max_grants(void *h, uint32_t count)');
  const close = library.func('int xengnttab_close(void *h)');
  return {
    map: (owner, refs, writable) =>
      map(handle, refs.length, owner, refs, writable ? PROT_READ_WRITE : PROT_READ) || negativeErrno(),
    mapNotifying: (owner, ref, writable, notification) =>
      mapNotify(
        handle,
        owner,
        ref,
        writable ? PROT_READ_WRITE : PROT_READ,
        ...notifyArguments(notification),
      ) || negativeErrno(),
    unmap: (address, pageCount) => (unmap(handle, address, pageCount) < 0 ? negativeErrno() : 0),
    copy: (segments, count) => (copy(handle, count, segments) < 0 ? negativeErrno() : 0),
    setMaximum: (count) => (setMaximum(handle, count) < 0 ? negativeErrno() : 0),
    close: () => {
      close(handle);
    },
  };
}

function openGrantShare(library: SharedLibrary): GrantShareLibrary {
  const handle = openHandle(library, 'xengntshr_open', GNTALLOC);
  const share = library.func(
    'uintptr_t xengntshr_share_pages(void *h, uint32_t domid, int count, _Out_ uint32_t *refs, int writable)',
  );
  const shareNotify = library.func(
    'uintptr_t xengntshr_share_page_notify(void *h, uint32_t domid, _Out_ uint32_t *ref, int writable, uint32_t byte, uint32_t port)',
  );
  const unshare = library.func('int xengntshr_unshare(void *h, uintptr_t address, uint32_t count)');
  const close = library.func('int xengntshr_close(void *h)');
  return {
    share: (peer, refs, writable) =>
      share(handle, peer, refs.length, refs, writable ? 1 : 0) || negativeErrno(),
    shareNotifying: (peer, ref, writable, notification) =>
      shareNotify(handle, peer, ref, writable ? 1 : 0, ...notifyArguments(notification)) || negativeErrno(),
    unshare: (address, pageCount) => (unshare(handle, address, pageCount) < 0 ? negativeErrno() : 0),
    close: () => {
      close(handle);
    },
  };
}

function openEventChannels(library: SharedLibrary): EventChannelLibrary {
  const handle = openHandle(library, 'xenevtchn_open', EVTCHN);
  const fd = library.func('int xenevtchn_fd(void *h)')(handle);
  const allocateUnbound = library.func('int xenevtchn_bind_unbound_port(void *h, uint32_t domid)');
  const bindInterdomain = library.func(
    'int xenevtchn_bind_interdomain(void *h, uint32_t domid, uint32_t port)',
  );
  const unbind = library.func('int xenevtchn_unbind(void *h, uint32_t port)');
  const notify = library.func('int xenevtchn_notify(void *h, uint32_t port)');
  const close = library.func('int xenevtchn_close(void *h)');
  // One port a call through the library; the device itself takes and gives many (spec event-channels.md §7).
  const poll = systemFunction('int poll(void *fds, unsigned long count, int timeout)');
  const read = systemFunction('long read(int fd, void *buffer, size_t length)');
  const write = systemFunction('long write(int fd, void *buffer, size_t length)');
  const ioctl = systemFunction('int ioctl(int fd, unsigned long request, unsigned long argument)');
  const pollFd = new Int32Array([fd, 1]);
  return {
    allocateUnbound: (remote) => result(allocateUnbound(handle, remote)),
    bindInterdomain: (remote, remotePort) => result(bindInterdomain(handle, remote, remotePort)),
    unbind: (port) => result(unbind(handle, port)),
    notify: (port) => result(notify(handle, port)),
    receive(ports) {
      // The device need not honour O_NONBLOCK, so it is asked first.
      if (poll(pollFd, 1, 0) <= 0) return 0;
      const bytes = read(fd, ports, ports.byteLength);
      if (bytes >= 0) return bytes >>> 2;
      const errno = koffi.errno();
      return errno === EAGAIN || errno === EINTR ? 0 : -errno;
    },
    unmask(ports, count) {
      write(fd, ports, count * 4);
    },
    reset() {
      ioctl(fd, EVTCHN_RESET, 0);
    },
    whenReadable(callback) {
      const watch = koffi.node.poll(fd, { readable: true }, callback);
      return { close: () => watch.close() };
    },
    close: () => {
      close(handle);
    },
  };
}

function result(value: number): number {
  return value < 0 ? negativeErrno() : value;
}

function notifyArguments({ clearByte, port }: UnmapNotification): readonly [number, number] {
  return [clearByte ?? NONE, port ?? NONE];
}

function readShareablePages(): number {
  try {
    const text = readFileSync('/sys/module/xen_gntalloc/parameters/limit', 'utf8');
    const limit = Number.parseInt(text, 10);
    return limit > 0 ? limit : DEFAULT_SHAREABLE_PAGES;
  } catch {
    return DEFAULT_SHAREABLE_PAGES;
  }
}
