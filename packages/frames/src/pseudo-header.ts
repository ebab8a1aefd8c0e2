import type { FrameView } from '@netchannel2/xen';
import type { PacketHeaders } from './headers';

/**
 * The folded sum of a TCP or UDP pseudo-header (RFC 9293 §3.1, RFC 8200 §8.1): what the checksum field of a packet holds
 * whose checksum is blank.
 *
 * @param headers the packet's, with a known transport.
 * @param length bytes of transport header and payload.
 */
export function pseudoHeaderSum(packet: FrameView, headers: PacketHeaders, length: number): number {
  const isIpv4 = headers.ipVersion === 4;
  const start = headers.networkOffset + (isIpv4 ? 12 : 8);
  const end = start + (isIpv4 ? 8 : 32);
  let sum = headers.protocol + length;
  for (let at = start; at < end; at += 2) sum += packet.uint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}
