/** An Ethernet frame of `length` bytes, at least 42, with a UDP datagram whose checksum field holds what stood there before. */
export function udpPacket(length: number): Uint8Array {
  const bytes = Uint8Array.from({ length }, (_, index) => (index * 31) & 0xff);
  bytes.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00]);
  const ip = length - 14;
  bytes.set([0x45, 0, ip >> 8, ip & 0xff, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2], 14);
  bytes.set([0, 7, 0, 9, (ip - 20) >> 8, (ip - 20) & 0xff, 0x12, 0x34], 34);
  return bytes;
}
