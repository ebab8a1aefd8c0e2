import koffi from 'koffi';
import { TapError } from './tap-error';

/** A TAP as a file: whole frames go in and out, in pieces of memory. Results below 0 are errno numbers. */
export interface TapFile {
  /** The interface's name. */
  readonly name: string;
  /** Whether a `virtio_net_hdr` stands before each frame. */
  readonly offloads: boolean;
  /** Reads one frame into `count` pieces; -11 (`EAGAIN`) when there is none. @param pieces see {@link setPiece}. */
  read(pieces: Uint32Array, count: number): number;
  /** Writes one frame out of `count` pieces. */
  write(pieces: Uint32Array, count: number): number;
  /** Whether the interface has a link, as the kernel's network sees it. */
  setCarrier(up: boolean): void;
  /** Calls back from the event loop while there are frames to read. */
  whenReadable(callback: () => void): { close(): void };
  close(): void;
}

export interface TapOptions {
  /** The interface to make or to open, at most 15 bytes; `%d` is replaced by a number. */
  readonly name: string;
  /** Blank checksums and TCP segments larger than the MTU both ways, default true. */
  readonly offloads?: boolean;
}

const DEVICE = '/dev/net/tun';
const LONGEST_NAME = 15;
const O_RDWR_NONBLOCK_CLOEXEC = 0o2 | 0o4000 | 0o2000000;
const IFF_TAP = 2;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
const TUNSETIFF = 0x400454ca;
const TUNSETOFFLOAD = 0x400454d0;
const TUNSETCARRIER = 0x400454e2;
const TUN_F_CSUM_TSO4_TSO6 = 1 | 2 | 4;
const IFREQ_BYTES = 40;
const IFREQ_FLAGS = 16;

const WORDS_PER_PIECE = 4;
const TWO_32 = 0x1_0000_0000;

/** `struct iovec` number `index`: `length` bytes at `address`. */
export function setPiece(pieces: Uint32Array, index: number, address: number, length: number): void {
  const at = index * WORDS_PER_PIECE;
  pieces[at] = address >>> 0;
  pieces[at + 1] = address / TWO_32;
  pieces[at + 2] = length;
  pieces[at + 3] = 0;
}

/** Memory for `count` pieces. */
export function pieceList(count: number): Uint32Array {
  return new Uint32Array(count * WORDS_PER_PIECE);
}

/** Makes a TAP, which goes when it is closed, or opens one that exists. @throws TapError saying what is missing. */
export function openTapFile(options: TapOptions): TapFile {
  const { name, offloads = true } = options;
  if (name.length === 0 || Buffer.byteLength(name) > LONGEST_NAME || /[\s/]/.test(name)) {
    throw new TapError(
      `"${name}" is no name of a network interface: give 1 to ${LONGEST_NAME} bytes, no spaces.`,
    );
  }
  const system = koffi.load(null);
  const open = system.func('int open(const char *path, int flags)');
  const closeFile = system.func('int close(int fd)');
  const setInterface = system.func('int ioctl(int fd, unsigned long request, void *argument)');
  const setValue = system.func('int ioctl(int fd, unsigned long request, unsigned long argument)');
  const readv = system.func('long readv(int fd, void *pieces, int count)');
  const writev = system.func('long writev(int fd, void *pieces, int count)');

  const fd: number = open(DEVICE, O_RDWR_NONBLOCK_CLOEXEC);
  if (fd < 0) throw openFailure(koffi.errno());
  const request = new Uint8Array(IFREQ_BYTES);
  request.set(Buffer.from(name));
  const flags = IFF_TAP | IFF_NO_PI | (offloads ? IFF_VNET_HDR : 0);
  new DataView(request.buffer).setUint16(IFREQ_FLAGS, flags, true);
  if (setInterface(fd, TUNSETIFF, request) < 0) {
    const errno = koffi.errno();
    closeFile(fd);
    throw interfaceFailure(name, errno);
  }
  if (offloads && setValue(fd, TUNSETOFFLOAD, TUN_F_CSUM_TSO4_TSO6) < 0) {
    closeFile(fd);
    throw new TapError(`The kernel offers no offloads for ${name}; open it without.`);
  }
  const given = Buffer.from(request.subarray(0, IFREQ_FLAGS)).toString('utf8').replace(/\0.*$/s, '');
  const watches = new Set<{ close(): void }>();
  return {
    name: given,
    offloads,
    read: (pieces, count) => orErrno(readv(fd, pieces, count)),
    write: (pieces, count) => orErrno(writev(fd, pieces, count)),
    setCarrier(up) {
      setInterface(fd, TUNSETCARRIER, Int32Array.of(up ? 1 : 0));
    },
    whenReadable(callback) {
      const watch = koffi.node.poll(fd, { readable: true }, callback);
      watches.add(watch);
      return {
        close: () => {
          if (watches.delete(watch)) watch.close();
        },
      };
    },
    close() {
      for (const watch of watches) watch.close();
      watches.clear();
      closeFile(fd);
    },
  };
}

function orErrno(result: number): number {
  return result < 0 ? -koffi.errno() : result;
}

function openFailure(errno: number): TapError {
  if (errno === koffi.os.errno.ENOENT) {
    return new TapError(`${DEVICE} does not exist. Load the kernel module: modprobe tun.`);
  }
  if (errno === koffi.os.errno.EACCES) {
    return new TapError(`No permission to open ${DEVICE}. Run as root, or give this user access to it.`);
  }
  return new TapError(`${DEVICE} cannot be opened (errno ${errno}).`);
}

function interfaceFailure(name: string, errno: number): TapError {
  if (errno === koffi.os.errno.EPERM) {
    return new TapError(
      `No permission to make ${name}. Run as root or with CAP_NET_ADMIN, or let an administrator make it: ip tuntap add ${name} mode tap user $USER.`,
    );
  }
  if (errno === koffi.os.errno.EBUSY) return new TapError(`${name} is in use by another program.`);
  if (errno === koffi.os.errno.EINVAL) {
    return new TapError(`${name} exists and is no TAP of this kind; choose another name.`);
  }
  return new TapError(`${name} cannot be opened (errno ${errno}).`);
}
