import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FramePool } from './frame-pool';
import { PacketHeaders, parseHeaders, transportChecksumOffset } from './headers';
import { FlatMemory } from './test-doubles/flat-memory';

function parse(bytes: readonly number[]): PacketHeaders {
  const pool = FramePool.create(new FlatMemory(1), 1);
  const frame = pool?.frameFrom(Uint8Array.from(bytes));
  if (frame === undefined) throw new Error('the double has pages enough');
  const headers = new PacketHeaders();
  parseHeaders(frame, headers);
  return headers;
}

const macs = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
const zeros = (count: number) => new Array<number>(count).fill(0);
const ipv4 = (protocol: number, options: { words?: number; fragment?: number } = {}) => {
  const words = options.words ?? 5;
  const fragment = options.fragment ?? 0;
  return [
    0x40 | words,
    ...zeros(5),
    fragment >> 8,
    fragment & 0xff,
    64,
    protocol,
    ...zeros(10 + (words - 5) * 4),
  ];
};
const ipv6 = (next: number) => [0x60, ...zeros(5), next, 64, ...zeros(32)];
const ethernet = (type: number, ...payload: number[][]) => [
  ...macs,
  type >> 8,
  type & 0xff,
  ...payload.flat(),
];

describe('parseHeaders', () => {
  const rows: [string, number[], Partial<PacketHeaders>][] = [
    ['ARP', ethernet(0x0806, zeros(28)), { etherType: 0x0806, ipVersion: 0, transportOffset: 0 }],
    [
      'IPv4 TCP',
      ethernet(0x0800, ipv4(6), zeros(20)),
      { etherType: 0x0800, networkOffset: 14, ipVersion: 4, protocol: 6, transportOffset: 34 },
    ],
    ['IPv4 UDP', ethernet(0x0800, ipv4(17), zeros(8)), { protocol: 17, transportOffset: 34 }],
    ['IPv4 with options', ethernet(0x0800, ipv4(6, { words: 15 }), zeros(20)), { transportOffset: 74 }],
    ['IPv4 ICMP', ethernet(0x0800, ipv4(1), zeros(8)), { protocol: 1, transportOffset: 0 }],
    [
      'IPv4 first fragment',
      ethernet(0x0800, ipv4(17, { fragment: 0x2000 }), zeros(8)),
      { ipVersion: 4, protocol: 17, transportOffset: 0 },
    ],
    [
      'IPv4 later fragment',
      ethernet(0x0800, ipv4(17, { fragment: 0x00b9 }), zeros(8)),
      { transportOffset: 0 },
    ],
    [
      'IPv4 with DF is whole',
      ethernet(0x0800, ipv4(17, { fragment: 0x4000 }), zeros(8)),
      { transportOffset: 34 },
    ],
    ['IPv4 header of 4 words', ethernet(0x0800, ipv4(6, { words: 4 }), zeros(24)), { ipVersion: 0 }],
    ['IPv4 header cut short', ethernet(0x0800, ipv4(6).slice(0, 19)), { ipVersion: 0, transportOffset: 0 }],
    ['IPv4 with version 5', ethernet(0x0800, [0x55], ipv4(6).slice(1), zeros(20)), { ipVersion: 0 }],
    [
      'TCP header cut short',
      ethernet(0x0800, ipv4(6), zeros(19)),
      { ipVersion: 4, protocol: 6, transportOffset: 0 },
    ],
    [
      'one VLAN tag',
      ethernet(0x8100, [0, 5, 8, 0], ipv4(17), zeros(8)),
      { etherType: 0x0800, networkOffset: 18, transportOffset: 38 },
    ],
    [
      'two VLAN tags',
      ethernet(0x88a8, [0, 5, 0x81, 0, 0, 6, 8, 0], ipv4(17), zeros(8)),
      { etherType: 0x0800, networkOffset: 22, transportOffset: 42 },
    ],
    [
      'three VLAN tags are not looked through',
      ethernet(0x8100, [0, 5, 0x81, 0, 0, 6, 0x81, 0, 0, 7, 8, 0], ipv4(17), zeros(8)),
      { etherType: 0x8100, ipVersion: 0, transportOffset: 0 },
    ],
    [
      'IPv6 TCP',
      ethernet(0x86dd, ipv6(6), zeros(20)),
      { networkOffset: 14, ipVersion: 6, protocol: 6, transportOffset: 54 },
    ],
    [
      'IPv6 behind options',
      ethernet(0x86dd, ipv6(0), [60, 0, ...zeros(6)], [17, 1, ...zeros(14)], zeros(8)),
      { protocol: 17, transportOffset: 78 },
    ],
    ['IPv6 fragment', ethernet(0x86dd, ipv6(44), zeros(40)), { ipVersion: 6, transportOffset: 0 }],
    ['IPv6 options cut short', ethernet(0x86dd, ipv6(0), [6, 9]), { ipVersion: 6, transportOffset: 0 }],
    ['IPv6 header cut short', ethernet(0x86dd, ipv6(6).slice(0, 39)), { ipVersion: 0, transportOffset: 0 }],
    ['13 bytes', [...macs, 8], { etherType: 0, ipVersion: 0, transportOffset: 0 }],
    ['1 byte', [8], { etherType: 0, ipVersion: 0, transportOffset: 0 }],
  ];

  it.each(rows)('%s', (_, bytes, expected) => expect(parse(bytes)).toMatchObject(expected));

  it('forgets the packet before', () => {
    const pool = FramePool.create(new FlatMemory(2), 2);
    const headers = new PacketHeaders();
    const first = pool?.frameFrom(Uint8Array.from(ethernet(0x0800, ipv4(6), zeros(20))));
    const second = pool?.frameFrom(Uint8Array.from(ethernet(0x0806, zeros(28))));
    if (first === undefined || second === undefined) throw new Error('the double has pages enough');
    parseHeaders(first, headers);
    parseHeaders(second, headers);
    expect(headers).toMatchObject({ ipVersion: 0, protocol: 0, transportOffset: 0 });
  });

  it('never throws, and never points past the end, whatever the bytes', () => {
    const type = fc.constantFrom(0x0800, 0x86dd, 0x8100, 0x88a8);
    fc.assert(
      fc.property(
        type,
        fc.constantFrom(0x45, 0x4f, 0x60, 0),
        fc.uint8Array({ maxLength: 120 }),
        (etherType, first, rest) => {
          const bytes = ethernet(etherType, [first], [...rest]);
          const headers = parse(bytes);
          if (headers.transportOffset > 0) {
            expect(headers.transportOffset + 8).toBeLessThanOrEqual(bytes.length);
          }
        },
      ),
    );
  });
});

it.each([
  [6, 16],
  [17, 6],
  [1, -1],
])('the checksum of protocol %i lies at %i', (protocol, offset) =>
  expect(transportChecksumOffset(protocol)).toBe(offset),
);
