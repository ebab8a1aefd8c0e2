/** A recorded conversation, with a bypass that comes and goes amid it, over every combination of table versions. */
import { describe, expect, it } from 'vitest';
import { BypassSite } from './bypass-site';
import { FRAMES, MACS, SAID, speaker } from './conversation';
import { digestOf, FrameDigest } from './frame-digest';

const PIECE = 32;

const TABLES = ([1, 2] as const).flatMap((host) =>
  ([1, 2] as const).flatMap((first) => ([1, 2] as const).map((second) => [host, first, second] as const)),
);

describe('a conversation across a bypass', () => {
  it.each(TABLES)('tables of dom0 v%i, guests v%i and v%i', async (host, first, second) => {
    const site = new BypassSite({
      host,
      guests: [first, second],
      macs: MACS,
      front: { ringPageOrder: 4 },
    });
    await site.start();
    const heard = site.guests.map(({ front }) => {
      const digest = new FrameDigest();
      front.frames$.subscribe((frame) => digest.add(frame.toBytes()));
      return digest;
    });
    const pieces = Math.ceil(FRAMES.length / PIECE);
    const waiting: Uint8Array[][] = [[], []];
    for (let piece = 0; piece < pieces; piece += 1) {
      // Into a piece, not between two: the switches find frames under way.
      if (piece === pieces >> 2) site.amid(3, () => site.mustPropose());
      if (piece === (3 * pieces) >> 2) site.amid(3, () => void site.proposer.withdraw());
      for (const frame of FRAMES.slice(piece * PIECE, (piece + 1) * PIECE))
        waiting[speaker(frame)]?.push(frame);
      // What has to wait for a switch goes, in order, once there is room.
      for (let round = 0; round < 20 && waiting.some((frames) => frames.length > 0); round += 1) {
        for (const [index, frames] of waiting.entries())
          while (frames[0] !== undefined && site.guest(index).front.send(frames[0])) frames.shift();
        await site.clock.settle();
      }
      expect(waiting).toEqual([[], []]);
    }
    for (const [index, frames] of SAID.entries()) {
      expect(heard[1 - index]?.sum).toEqual(digestOf(frames));
      const { bypassFramesSent } = site.guest(index).front.counters;
      expect([bypassFramesSent > 0, bypassFramesSent < frames.length]).toEqual([true, true]);
    }
    expect(await site.finish()).toEqual([]);
  });
});
