import type { DomainMemory, Frame } from '@netchannel2/xen';

/**
 * The checksum a blank frame still lacks (spec vif.md §6): the complement of the sum over `[start, end)`, whose
 * checksum field already holds the folded pseudo-header sum. The frame itself is not changed, for others may hold it too.
 *
 * @param start offset of the transport header.
 * @param isUdp a UDP result of 0 is sent as 0xFFFF.
 * @returns the 16-bit field in wire order (high byte first).
 */
export function completedChecksum(memory: DomainMemory, frame: Frame, start: number, isUdp: boolean): number {
  let skip = start;
  let sum = 0;
  let odd = false;
  for (let index = 0; index < frame.fragmentCount; index += 1) {
    const whole = frame.fragmentLength(index);
    if (skip >= whole) {
      skip -= whole;
      continue;
    }
    const length = whole - skip;
    const part = memory.checksum(frame.fragmentPage(index), frame.fragmentOffset(index) + skip, length, 0);
    // A piece that starts at an odd byte of the packet contributes with its bytes swapped (RFC 1071 §2).
    sum += odd ? ((part & 0xff) << 8) | (part >> 8) : part;
    if ((length & 1) === 1) odd = !odd;
    skip = 0;
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  const complement = ~sum & 0xffff;
  return complement === 0 && isUdp ? 0xffff : complement;
}
