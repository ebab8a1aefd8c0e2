import type { MemoryArea } from '@netchannel2/xen';

/** Where an Ethernet frame has its addresses. */
export const TARGET_MAC = 0;
export const SOURCE_MAC = 6;
const MAC_BYTES = 6;
/** Bytes of both. */
const ADDRESS_BYTES = 12;

/** An address at its place in a frame, to be found there by words: a filter looks for it in every frame. */
export class AddressInFrame {
  private readonly first: number;
  private readonly second: number;
  private readonly third: number;
  private readonly firstMask: number;
  private readonly secondMask: number;
  private readonly thirdMask: number;

  /** @param mac six bytes. @param at {@link TARGET_MAC} or {@link SOURCE_MAC}. */
  constructor(mac: Uint8Array, at: number) {
    const bytes = new Uint8Array(ADDRESS_BYTES);
    bytes.set(mac.subarray(0, MAC_BYTES), at);
    const mask = new Uint8Array(ADDRESS_BYTES).fill(0xff, at, at + MAC_BYTES);
    [this.first = 0, this.second = 0, this.third = 0] = new Int32Array(bytes.buffer);
    [this.firstMask = 0, this.secondMask = 0, this.thirdMask = 0] = new Int32Array(mask.buffer);
  }

  /** Whether the frame at the start of `area`, at a multiple of four, has it; one of 14 bytes or more. */
  isIn(area: MemoryArea): boolean {
    const { words } = area;
    const at = area.base >>> 2;
    const first = ((words[at] as number) ^ this.first) & this.firstMask;
    const second = ((words[at + 1] as number) ^ this.second) & this.secondMask;
    const third = ((words[at + 2] as number) ^ this.third) & this.thirdMask;
    return (first | second | third) === 0;
  }
}
