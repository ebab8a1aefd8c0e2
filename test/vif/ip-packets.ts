/** Packets with a blank or a complete transport checksum, and a check of it, apart from the code under test. */

const sum16 = (bytes: Uint8Array, start: number, end: number, initial = 0): number => {
  let sum = initial;
  for (let index = start; index < end; index += 1) {
    const byte = bytes[index] ?? 0;
    sum += (index - start) % 2 === 0 ? byte * 256 : byte;
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return sum;
};

const put16 = (bytes: Uint8Array, at: number, value: number) => {
  bytes[at] = value >> 8;
  bytes[at + 1] = value & 0xff;
};

const ETHERNET = 14;

interface Layout {
  readonly transport: number;
  readonly addresses: readonly [start: number, end: number];
  readonly protocol: number;
}

const layoutOf = (bytes: Uint8Array): Layout =>
  bytes[12] === 0x08
    ? {
        transport: ETHERNET + 20,
        addresses: [ETHERNET + 12, ETHERNET + 20],
        protocol: bytes[ETHERNET + 9] ?? 0,
      }
    : {
        transport: ETHERNET + 40,
        addresses: [ETHERNET + 8, ETHERNET + 40],
        protocol: bytes[ETHERNET + 6] ?? 0,
      };

const pseudoHeaderSum = (bytes: Uint8Array): number => {
  const { transport, addresses, protocol } = layoutOf(bytes);
  return sum16(bytes, addresses[0], addresses[1], protocol + bytes.length - transport);
};

/** An Ethernet frame with UDP over IPv4 or IPv6 whose checksum field holds the pseudo-header sum only. */
export function blankUdp(version: 4 | 6, payloadLength: number): Uint8Array {
  const header = version === 4 ? 20 : 40;
  const bytes = new Uint8Array(ETHERNET + header + 8 + payloadLength);
  for (let index = 0; index < bytes.length; index += 1) bytes[index] = (index * 13) & 0xff;
  bytes[0] = 0x02;
  put16(bytes, 12, version === 4 ? 0x0800 : 0x86dd);
  if (version === 4) {
    bytes[ETHERNET] = 0x45;
    put16(bytes, ETHERNET + 2, header + 8 + payloadLength);
    put16(bytes, ETHERNET + 6, 0);
    bytes[ETHERNET + 9] = 17;
  } else {
    bytes[ETHERNET] = 0x60;
    put16(bytes, ETHERNET + 4, 8 + payloadLength);
    bytes[ETHERNET + 6] = 17;
  }
  const udp = ETHERNET + header;
  put16(bytes, udp + 4, 8 + payloadLength);
  put16(bytes, udp + 6, pseudoHeaderSum(bytes));
  return bytes;
}

/** Whether the transport checksum is complete and right. */
export function checksumHolds(bytes: Uint8Array): boolean {
  return sum16(bytes, layoutOf(bytes).transport, bytes.length, pseudoHeaderSum(bytes)) === 0xffff;
}
