import koffi from 'koffi';

const system = koffi.load(null);
const mmap = system.func(
  'uintptr_t mmap(uintptr_t address, size_t length, int protection, int flags, int fd, long offset)',
);
const munmap = system.func('int munmap(uintptr_t address, size_t length)');
const memcpy = system.func('uintptr_t memcpy(uintptr_t target, uintptr_t source, size_t length)');
const memfdCreate = system.func('int memfd_create(const char *name, unsigned int flags)');
const ftruncate = system.func('int ftruncate(int fd, long length)');
const close = system.func('int close(int fd)');

const PAGE = 4096;
const MAP_SHARED = 1;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const MAP_FIXED = 0x10;

/** Pages that can be mapped in several places at once, as a machine's can: an anonymous file of the kernel. */
export class PageFile {
  private readonly fd: number;
  private readonly base: number;
  private readonly free: number[];

  constructor(private readonly pageCount: number) {
    this.fd = memfdCreate('pages', 0);
    if (this.fd < 0 || ftruncate(this.fd, pageCount * PAGE) < 0) throw new Error('no anonymous file');
    this.base = mmap(0, pageCount * PAGE, 3, MAP_SHARED, this.fd, 0);
    this.free = Array.from({ length: pageCount }, (_, page) => page);
  }

  /** Zeroed pages, `undefined` where there are not so many. */
  take(count: number): readonly number[] | undefined {
    if (count > this.free.length) return undefined;
    const pages = this.free.splice(0, count);
    const zeros = mmap(0, PAGE, 3, MAP_PRIVATE_ANONYMOUS, -1, 0);
    for (const page of pages) memcpy(this.addressOf(page), zeros, PAGE);
    munmap(zeros, PAGE);
    return pages;
  }

  giveBack(page: number): void {
    this.free.push(page);
  }

  /** Where the file itself shows the page. */
  addressOf(page: number): number {
    return this.base + page * PAGE;
  }

  /** Maps pages side by side somewhere else. */
  mapAt(pages: readonly number[]): number {
    const address: number = mmap(0, pages.length * PAGE, 0, MAP_PRIVATE_ANONYMOUS, -1, 0);
    for (const [index, page] of pages.entries()) {
      mmap(address + index * PAGE, PAGE, 3, MAP_SHARED | MAP_FIXED, this.fd, page * PAGE);
    }
    return address;
  }

  unmapAt(address: number, pageCount: number): void {
    munmap(address, pageCount * PAGE);
  }

  copy(target: number, source: number, length: number): void {
    memcpy(target, source, length);
  }

  close(): void {
    munmap(this.base, this.pageCount * PAGE);
    close(this.fd);
  }
}
