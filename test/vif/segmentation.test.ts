/**
 * Packets longer than the wire allows: passed on whole where both ends agreed, cut in software by the sending end where
 * the other does not cut, for either direction, IP version and checksum agreement.
 */
import { FramePool, LeasedFrame } from '@netchannel2/frames';
import { Machine, type SimulatedDomain } from '@netchannel2/hypervisor';
import type { NetbackOptions } from '@netchannel2/netback';
import type { NetfrontOptions } from '@netchannel2/netfront';
import { type Frame, FrameChecksum, type FramePort, FrameSegmentation } from '@netchannel2/xen';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { blankTcp, CWR, checksumHolds, FIN, PSH, tcpSegment } from './ip-packets';
import { vifPair } from './vif-pair';

const PAYLOAD = 10_000;
const SEGMENT = 1428;
const SEQUENCE = 0xfffffc00;

let machine: Machine;
let host: SimulatedDomain;
let guest: SimulatedDomain;

beforeEach(() => {
  machine = Machine.boot({ memoryBytes: 64 << 20 });
  host = machine.createDomain();
  guest = machine.createDomain();
});

afterEach(() => machine.shutdown());

interface Received {
  readonly bytes: Uint8Array;
  readonly checksum: FrameChecksum;
  readonly segmentation: FrameSegmentation;
  readonly segmentSize: number;
}

const receive = (port: FramePort): Received[] => {
  const frames: Received[] = [];
  port.frames$.subscribe((frame) =>
    frames.push({
      bytes: frame.toBytes(),
      checksum: frame.checksum,
      segmentation: frame.segmentation,
      segmentSize: frame.segmentSize,
    }),
  );
  return frames;
};

/** The packet in pieces of odd lengths, so that checksums and copies cross every kind of border. */
const inPieces = (pool: FramePool, bytes: Uint8Array, properties: Partial<LeasedFrame>): Frame => {
  const frame = new LeasedFrame();
  for (let at = 0, length = 1001; at < bytes.length; at += length) {
    const page = pool.take();
    if (page === undefined) throw new Error('no pages');
    const piece = bytes.subarray(at, at + length);
    pool.memory.copyIn(page, 7, piece);
    frame.addFragment(page, 7, piece.length);
  }
  return Object.assign(frame, properties);
};

type Features = NonNullable<NetfrontOptions['features']> & NonNullable<NetbackOptions['features']>;
const on = true;
const off = false;

const CASES: {
  readonly to: 'guest' | 'host';
  readonly version: 4 | 6;
  /** Of the receiving end. */
  readonly features: Features;
  readonly whole: boolean;
  readonly blank: boolean;
}[] = [
  { to: 'guest', version: 4, features: {}, whole: true, blank: true },
  { to: 'guest', version: 6, features: {}, whole: true, blank: true },
  { to: 'host', version: 4, features: {}, whole: true, blank: true },
  { to: 'host', version: 6, features: {}, whole: true, blank: true },
  { to: 'guest', version: 4, features: { gsoTcpv4: off }, whole: false, blank: true },
  { to: 'guest', version: 4, features: { gsoTcpv6: off }, whole: true, blank: true },
  { to: 'guest', version: 6, features: { gsoTcpv6: off }, whole: false, blank: true },
  { to: 'host', version: 4, features: { gsoTcpv4: off }, whole: false, blank: true },
  { to: 'host', version: 6, features: { gsoTcpv6: off }, whole: false, blank: true },
  { to: 'guest', version: 4, features: { scatterGather: off }, whole: false, blank: true },
  { to: 'guest', version: 6, features: { scatterGather: off }, whole: false, blank: true },
  { to: 'host', version: 4, features: { scatterGather: off }, whole: false, blank: true },
  { to: 'guest', version: 4, features: { gsoTcpv4: off, noChecksumOffload: on }, whole: false, blank: false },
  { to: 'guest', version: 4, features: { noChecksumOffload: on }, whole: false, blank: false },
  { to: 'guest', version: 6, features: { ipv6ChecksumOffload: off }, whole: false, blank: false },
  { to: 'host', version: 6, features: { ipv6ChecksumOffload: off }, whole: false, blank: false },
  {
    to: 'guest',
    version: 6,
    features: { gsoTcpv6: off, ipv6ChecksumOffload: off },
    whole: false,
    blank: false,
  },
  {
    to: 'host',
    version: 6,
    features: { gsoTcpv6: off, ipv6ChecksumOffload: off },
    whole: false,
    blank: false,
  },
];

it.each(CASES)('to the $to, IPv$version, $features', async ({ to, version, features, whole, blank }) => {
  const pair = vifPair(guest, host, to === 'guest' ? { front: { features } } : { back: { features } });
  await pair.connect();
  const [sender, receiver, domain] =
    to === 'guest' ? [pair.back, pair.front, host] : [pair.front, pair.back, guest];
  const received = receive(receiver);
  const pool = FramePool.create(domain.memory, 32);
  if (pool === undefined) throw new Error('no pages');
  const segmentation = version === 4 ? FrameSegmentation.tcpv4 : FrameSegmentation.tcpv6;
  const bytes = blankTcp(version, PAYLOAD, SEQUENCE);
  const frame = inPieces(pool, bytes, { checksum: FrameChecksum.blank, segmentation, segmentSize: SEGMENT });
  expect(sender.send(frame)).toBe(true);
  frame.release();
  await machine.idle();
  if (whole) {
    expect(received).toEqual([{ bytes, checksum: FrameChecksum.blank, segmentation, segmentSize: SEGMENT }]);
  } else {
    checkSegments(received, bytes, blank);
  }
  await pair.disconnect();
  expect(pool.outstanding).toBe(0);
});

const checkSegments = (received: readonly Received[], bytes: Uint8Array, blank: boolean): void => {
  const segments = received.map((frame) => tcpSegment(frame.bytes));
  const last = segments.length - 1;
  expect(segments.length).toBe(Math.ceil(PAYLOAD / SEGMENT));
  segments.forEach((segment, index) => {
    const frame = received[index];
    expect(frame?.checksum).toBe(blank ? FrameChecksum.blank : FrameChecksum.validated);
    expect(frame?.segmentation).toBe(FrameSegmentation.none);
    expect(segment.isBlank).toBe(blank);
    if (!blank) expect(checksumHolds(frame?.bytes ?? new Uint8Array(0))).toBe(true);
    expect(segment.ipChecksumHolds).toBe(true);
    expect(segment.ipLength).toBe((frame?.bytes.length ?? 0) - 14);
    if (segment.identification !== undefined) expect(segment.identification).toBe((0xfffe + index) & 0xffff);
    expect(segment.sequence).toBe((SEQUENCE + index * SEGMENT) >>> 0);
    expect((segment.flags & CWR) !== 0).toBe(index === 0);
    expect((segment.flags & (FIN | PSH)) !== 0).toBe(index === last);
  });
  expect(Buffer.concat(segments.map(({ payload }) => payload))).toEqual(
    Buffer.from(bytes.subarray(bytes.length - PAYLOAD)),
  );
};

it.each(['guest', 'host'] as const)(
  'what is no TCP cannot be cut on its way to the %s, and is counted',
  async (to) => {
    const features = { gsoTcpv4: false };
    const pair = vifPair(guest, host, to === 'guest' ? { front: { features } } : { back: { features } });
    await pair.connect();
    const [sender, domain] = to === 'guest' ? [pair.back, host] : [pair.front, guest];
    const pool = FramePool.create(domain.memory, 32);
    if (pool === undefined) throw new Error('no pages');
    const properties = { checksum: FrameChecksum.blank, segmentation: FrameSegmentation.tcpv4 };
    for (const [bytes, segmentSize] of [
      [new Uint8Array(3000), 1448],
      [blankTcp(6, 3000), 1448],
      [blankTcp(4, 3000), 1],
      [blankTcp(4, 3000), 0],
    ] as const) {
      const frame = inPieces(pool, bytes, { ...properties, segmentSize });
      expect(sender.send(frame)).toBe(true);
      frame.release();
    }
    expect(sender.counters.dropped.segmentationUnknown).toBe(4);
    expect(pool.outstanding).toBe(0);
    await pair.disconnect();
  },
);

it('a complete checksum of a packet to be cut is made blank by the backend that takes it in', async () => {
  const pair = vifPair(guest, host);
  await pair.connect();
  const received = receive(pair.back);
  const pool = FramePool.create(guest.memory, 32);
  if (pool === undefined) throw new Error('no pages');
  const bytes = blankTcp(4, 3000);
  const wrong = bytes.slice();
  wrong[50] = (wrong[50] ?? 0) ^ 0xff;
  const frame = inPieces(pool, wrong, { segmentation: FrameSegmentation.tcpv4, segmentSize: 1448 });
  expect(pair.front.send(frame)).toBe(true);
  frame.release();
  await machine.idle();
  expect(received).toEqual([
    { bytes, checksum: FrameChecksum.blank, segmentation: FrameSegmentation.tcpv4, segmentSize: 1448 },
  ]);
  await pair.disconnect();
});
