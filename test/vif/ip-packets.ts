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

export const TCP_FLAGS = 13;
export const FIN = 0x01;
export const PSH = 0x08;
export const CWR = 0x80;

/**
 * An Ethernet frame with TCP over IPv4 or IPv6 whose checksum is blank, with a timestamp option, and every flag set that
 * segmentation has to treat apart.
 */
export function blankTcp(version: 4 | 6, payloadLength: number, sequence = 0xfffffc00): Uint8Array {
  const header = version === 4 ? 20 : 40;
  const tcpLength = 32;
  const bytes = new Uint8Array(ETHERNET + header + tcpLength + payloadLength);
  for (let index = 0; index < bytes.length; index += 1) bytes[index] = (index * 31 + (index >> 8)) & 0xff;
  bytes[0] = 0x02;
  bytes[6] = 0x02;
  put16(bytes, 12, version === 4 ? 0x0800 : 0x86dd);
  if (version === 4) {
    bytes[ETHERNET] = 0x45;
    put16(bytes, ETHERNET + 2, header + tcpLength + payloadLength);
    put16(bytes, ETHERNET + 4, 0xfffe);
    put16(bytes, ETHERNET + 6, 0x4000);
    bytes[ETHERNET + 9] = 6;
    put16(bytes, ETHERNET + 10, 0);
    put16(bytes, ETHERNET + 10, 0xffff ^ sum16(bytes, ETHERNET, ETHERNET + 20));
  } else {
    bytes[ETHERNET] = 0x60;
    put16(bytes, ETHERNET + 4, tcpLength + payloadLength);
    bytes[ETHERNET + 6] = 6;
  }
  const tcp = ETHERNET + header;
  put16(bytes, tcp + 4, sequence >>> 16);
  put16(bytes, tcp + 6, sequence & 0xffff);
  bytes[tcp + 12] = (tcpLength / 4) << 4;
  bytes[tcp + TCP_FLAGS] = FIN | PSH | CWR | 0x10;
  put16(bytes, tcp + 16, pseudoHeaderSum(bytes));
  return bytes;
}

/** What one segment of {@link blankTcp} carries, read from the specification of IP and TCP. */
export function tcpSegment(bytes: Uint8Array) {
  const { transport } = layoutOf(bytes);
  const read16 = (at: number) => (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0);
  const isIpv4 = bytes[12] === 0x08;
  return {
    ipLength: isIpv4 ? read16(ETHERNET + 2) : read16(ETHERNET + 4) + 40,
    identification: isIpv4 ? read16(ETHERNET + 4) : undefined,
    ipChecksumHolds: !isIpv4 || sum16(bytes, ETHERNET, ETHERNET + 20) === 0xffff,
    sequence: (read16(transport + 4) * 65536 + read16(transport + 6)) >>> 0,
    flags: bytes[transport + TCP_FLAGS] ?? 0,
    /** Whether the field holds the pseudo-header sum only. */
    isBlank: read16(transport + 16) === pseudoHeaderSum(bytes),
    payload: bytes.subarray(transport + 32),
  };
}

/** Whether the transport checksum is complete and right. */
export function checksumHolds(bytes: Uint8Array): boolean {
  return sum16(bytes, layoutOf(bytes).transport, bytes.length, pseudoHeaderSum(bytes)) === 0xffff;
}
