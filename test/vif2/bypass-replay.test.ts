/** A recorded conversation, with a bypass that comes and goes amid it, over every combination of table versions. */
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { readCapture } from '@netchannel2/bridge';
import { describe, expect, it } from 'vitest';
import { BypassSite } from './bypass-site';

const CAPTURE = fileURLToPath(new URL('../../examples/captures/linux-veth.pcap', import.meta.url));
const FRAMES = readCapture(CAPTURE).frames.map((frame) => frame.bytes);
const PIECE = 32;
const sourceOf = (frame: Uint8Array) => frame.subarray(6, 12);
const isFrom = (frame: Uint8Array, mac: Uint8Array) =>
  sourceOf(frame).every((byte, index) => byte === mac[index]);
const FIRST = sourceOf(FRAMES[0] ?? new Uint8Array(12));
const OTHER = sourceOf(FRAMES.find((frame) => !isFrom(frame, FIRST)) ?? new Uint8Array(12));
const SAID = [
  FRAMES.filter((frame) => isFrom(frame, FIRST)),
  FRAMES.filter((frame) => !isFrom(frame, FIRST)),
];

const TABLES = ([1, 2] as const).flatMap((host) =>
  ([1, 2] as const).flatMap((first) => ([1, 2] as const).map((second) => [host, first, second] as const)),
);

describe('a conversation across a bypass', () => {
  it.each(TABLES)('tables of dom0 v%i, guests v%i and v%i', async (host, first, second) => {
    const site = new BypassSite({
      host,
      guests: [first, second],
      macs: [FIRST, OTHER],
      front: { ringPageOrder: 4 },
    });
    await site.start();
    const heard = site.guests.map(({ front }) => {
      const hash = createHash('sha256');
      const log = { count: 0, digest: () => hash.copy().digest('hex') };
      front.frames$.subscribe((frame) => {
        hash.update(`${frame.byteLength}\n`).update(frame.toBytes());
        log.count += 1;
      });
      return log;
    });
    const pieces = Math.ceil(FRAMES.length / PIECE);
    const waiting: Uint8Array[][] = [[], []];
    for (let piece = 0; piece < pieces; piece += 1) {
      // Into a piece, not between two: the switches find frames under way.
      if (piece === pieces >> 2) site.amid(3, () => site.mustPropose());
      if (piece === (3 * pieces) >> 2) site.amid(3, () => void site.proposer.withdraw());
      for (const frame of FRAMES.slice(piece * PIECE, (piece + 1) * PIECE))
        waiting[isFrom(frame, FIRST) ? 0 : 1]?.push(frame);
      // What has to wait for a switch goes, in order, once there is room.
      for (let round = 0; round < 20 && waiting.some((frames) => frames.length > 0); round += 1) {
        for (const [index, frames] of waiting.entries())
          while (frames[0] !== undefined && site.guest(index).front.send(frames[0])) frames.shift();
        await site.clock.settle();
      }
      expect(waiting).toEqual([[], []]);
    }
    for (const [index, frames] of SAID.entries()) {
      const expected = createHash('sha256');
      for (const frame of frames) expected.update(`${frame.byteLength}\n`).update(frame);
      expect([heard[1 - index]?.count, heard[1 - index]?.digest()]).toEqual([
        frames.length,
        expected.digest('hex'),
      ]);
      const { bypassFramesSent } = site.guest(index).front.counters;
      expect([bypassFramesSent > 0, bypassFramesSent < frames.length]).toEqual([true, true]);
    }
    expect(await site.finish()).toEqual([]);
  });
});
