import koffi from 'koffi';
import { systemFunction } from './shared-library';
import type { NativeMemory } from './xen-libraries';

const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const MAP_NORESERVE = 0x4000;
const MAP_FIXED_NOREPLACE = 0x100000;

/** Memory of this process by `mmap(2)`. */
export function processMemory(): NativeMemory {
  const mmap = systemFunction(
    'uintptr_t mmap(uintptr_t address, size_t length, int protection, int flags, int fd, long offset)',
  );
  const munmap = systemFunction('int munmap(uintptr_t address, size_t length)');

  const map = (address: number, byteLength: number, flags: number): number => {
    const result: unknown = mmap(
      address,
      byteLength,
      PROT_READ_WRITE,
      MAP_PRIVATE_ANONYMOUS | MAP_NORESERVE | flags,
      -1,
      0,
    );
    // MAP_FAILED is all ones, which is no exact number and so comes as a bigint.
    return typeof result === 'number' ? result : -1;
  };

  return {
    allocate(byteLength) {
      const address = map(0, byteLength, 0);
      if (address < 0) throw new RangeError(`no address space left for ${byteLength} bytes`);
      return address;
    },
    view: (address, byteLength) => koffi.view(address, byteLength),
    bury(address, byteLength) {
      // Where another thread was faster nothing can be done; only a view kept against the rules could notice.
      const got = map(address, byteLength, MAP_FIXED_NOREPLACE);
      if (got === address) return true;
      // Kernels before 4.17 know the flag as a hint only.
      if (got >= 0) munmap(got, byteLength);
      return false;
    },
    release: (address, byteLength) => {
      munmap(address, byteLength);
    },
  };
}
