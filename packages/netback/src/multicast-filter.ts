import type { FrameView } from '@netchannel2/xen';

/**
 * The multicast addresses a guest listens to (spec vif.md §5). Addresses are 48-bit numbers, first byte highest.
 */
export class MulticastFilter {
  private readonly addresses: number[] = [];

  /** Answers whether the list takes the address: it holds 64, duplicates included. */
  add(address: number): boolean {
    if (this.addresses.length === MULTICAST_ADDRESSES_MAX) return false;
    this.addresses.push(address);
    return true;
  }

  /** Removes one entry of the address; an unknown address is no error. */
  delete(address: number): void {
    const index = this.addresses.indexOf(address);
    if (index >= 0) this.addresses.splice(index, 1);
  }

  /** Whether a frame to `address` may pass: unicast, broadcast, or on the list. */
  passes(address: number): boolean {
    const isGroup = (Math.floor(address / 0x100_0000_0000) & 1) === 1;
    return !isGroup || address === BROADCAST || this.addresses.includes(address);
  }

  /** Whether a frame that begins like this may pass. */
  passesFrame(head: FrameView): boolean {
    return this.passes(head.uint16(0) * 0x1_0000_0000 + head.uint32(2));
  }

  passesBytes(frame: Uint8Array): boolean {
    let address = 0;
    for (let index = 0; index < 6; index += 1) address = address * 256 + (frame[index] ?? 0);
    return this.passes(address);
  }
}

export const MULTICAST_ADDRESSES_MAX = 64;
const BROADCAST = 0xffff_ffff_ffff;
