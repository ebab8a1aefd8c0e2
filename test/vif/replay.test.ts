/**
 * A recorded conversation of two Linux hosts between two guests over a bridge: over 1, 2 and 4 queues, with scatter-gather
 * and segmentation on and off. Each frame arrives once, whole, each flow in order; what a link cannot carry is counted.
 */
import { FramePool } from '@netchannel2/frames';
import { FrameChecksum, type FramePort, FrameSegmentation } from '@netchannel2/xen';
import { expect, it } from 'vitest';
import { BridgedVifs } from './bridged-vifs';
import { CONVERSATION, flowOf, speakerOf, tcpHeaderLength } from './recorded-conversation';

const SEGMENT = 1448;
/** Packets that a sender with segmentation offload would hand over whole. */
const isLong = (frame: Uint8Array): boolean => frame.length > 1514 && tcpHeaderLength(frame) > 0;
const LONGEST_SLOT = 4096;

const MODES = [
  { scatterGather: true, segmentation: true },
  { scatterGather: true, segmentation: false },
  // Segmentation takes scatter-gather: asked for without, it is as if it were not.
  { scatterGather: false, segmentation: true },
  { scatterGather: false, segmentation: false },
];

it.each(MODES.flatMap((mode) => [1, 2, 4].map((queues) => ({ queues, ...mode }))))(
  'queues $queues, scatter-gather $scatterGather, segmentation $segmentation',
  async ({ queues, scatterGather, segmentation }) => {
    const features = { scatterGather, gsoTcpv4: segmentation, gsoTcpv6: segmentation };
    const site = new BridgedVifs(
      { queues, features, receiveBuffers: 128 },
      { features, receivePages: 192, transmitPages: 64 },
    );
    await site.start();
    const arrivals = site.guests.map(({ device }) => watch(device.frontend));
    const pools = site.guests.map(({ domain }) => FramePool.create(domain.memory, 64));
    for (const [index, bytes] of CONVERSATION.entries()) {
      const speaker = speakerOf(bytes);
      const { frontend } = site.guests[speaker].device;
      const frame = isLong(bytes) ? pools[speaker]?.frameFrom(bytes) : bytes;
      if (frame === undefined) throw new Error('the pool is too small');
      if (!(frame instanceof Uint8Array)) {
        frame.checksum = FrameChecksum.blank;
        frame.segmentation = FrameSegmentation.tcpv4;
        frame.segmentSize = SEGMENT;
      }
      if (!frontend.send(frame)) {
        await site.clock.settle();
        expect(frontend.send(frame)).toBe(true);
      }
      if (!(frame instanceof Uint8Array)) frame.release();
      // A bridge drops what its next port has no room for, so the conversation goes in pieces that fit.
      if (index % 16 === 15 || isLong(bytes)) await site.clock.settle();
    }
    await site.clock.settle();
    let tooLong = 0;
    for (const listener of [0, 1] as const) {
      const said = CONVERSATION.filter((bytes) => speakerOf(bytes) === 1 - listener);
      const carried = said.filter((bytes) => scatterGather || isLong(bytes) || bytes.length <= LONGEST_SLOT);
      tooLong += said.length - carried.length;
      checkFlows(arrivals[listener] ?? [], carried, scatterGather && segmentation);
    }
    const dropped = site.guests.map(({ device }) => device.frontend.counters.dropped.scatterGatherMissing);
    expect((dropped[0] ?? 0) + (dropped[1] ?? 0)).toBe(tooLong);
    for (const { counters } of site.bridge.ports) expect(counters.refused).toBe(0);
    const forwarded = site.bridge.ports.reduce((sum, { counters }) => sum + counters.forwarded, 0);
    expect(forwarded).toBeGreaterThan(CONVERSATION.length * 0.9);
    for (const pool of pools) expect(pool?.outstanding).toBe(0);
    for (const pool of pools) pool?.close();
    expect(await site.stop()).toEqual([]);
  },
);

const watch = (port: FramePort): Uint8Array[] => {
  const frames: Uint8Array[] = [];
  port.frames$.subscribe((frame) => frames.push(frame.toBytes()));
  return frames;
};

const byFlow = (frames: readonly Uint8Array[]): Map<string, Uint8Array[]> => {
  const flows = new Map<string, Uint8Array[]>();
  for (const frame of frames) flows.set(flowOf(frame), [...(flows.get(flowOf(frame)) ?? []), frame]);
  return flows;
};

/** Each flow's frames one by one; what was cut on the way is put together again and compared by its payload. */
const checkFlows = (arrived: readonly Uint8Array[], sent: readonly Uint8Array[], isWhole: boolean): void => {
  const received = byFlow(arrived);
  const expected = byFlow(sent);
  expect([...received.keys()].sort()).toEqual([...expected.keys()].sort());
  for (const [flow, frames] of expected) {
    const queue = received.get(flow) ?? [];
    for (const frame of frames) {
      if (isWhole || !isLong(frame)) {
        expect(Buffer.compare(queue.shift() ?? new Uint8Array(0), frame)).toBe(0);
        continue;
      }
      const payload = frame.subarray(tcpHeaderLength(frame));
      const pieces: Uint8Array[] = [];
      for (let length = 0; length < payload.length; ) {
        const segment = queue.shift() ?? new Uint8Array(0);
        expect(segment.length).toBeGreaterThan(54);
        expect(segment.length).toBeLessThanOrEqual(1514);
        const piece = segment.subarray(tcpHeaderLength(segment));
        pieces.push(piece);
        length += piece.length;
      }
      expect(Buffer.compare(Buffer.concat(pieces), payload)).toBe(0);
    }
    expect(queue).toEqual([]);
  }
};
