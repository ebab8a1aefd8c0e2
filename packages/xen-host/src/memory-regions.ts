/**
 * Where in this process's address space the bytes of an area lie: grant copies name own memory by its virtual address, and
 * an area knows only its typed array.
 */
export class MemoryRegions {
  readonly #origins = new WeakMap<Uint8Array, number>();
  /** The region asked for last: nearly always the arena of the domain's own pages. */
  #lastBytes: Uint8Array | undefined;
  #lastOrigin = 0;

  add(bytes: Uint8Array, address: number): void {
    this.#origins.set(bytes, address);
  }

  /** Address of `bytes[0]`, 0 where the bytes are none of this domain's. */
  originOf(bytes: Uint8Array): number {
    if (bytes === this.#lastBytes) return this.#lastOrigin;
    const origin = this.#origins.get(bytes);
    if (origin === undefined) return 0;
    this.#lastBytes = bytes;
    this.#lastOrigin = origin;
    return origin;
  }
}
