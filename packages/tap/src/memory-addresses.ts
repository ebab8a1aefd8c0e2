import koffi from 'koffi';

/** Where typed arrays lie in this process. Looked up once for each: arrays outside V8's heap do not move. */
export class MemoryAddresses {
  private readonly known = new WeakMap<Uint8Array, number>();
  private lastBytes: Uint8Array | undefined;
  private lastAddress = 0;

  /** Address of `bytes[0]`. */
  of(bytes: Uint8Array): number {
    if (bytes === this.lastBytes) return this.lastAddress;
    let address = this.known.get(bytes);
    if (address === undefined) {
      address = Number(koffi.address(bytes));
      this.known.set(bytes, address);
    }
    this.lastBytes = bytes;
    this.lastAddress = address;
    return address;
  }
}
