/** A recorded conversation crosses every kind of path, over every pair of table versions: each frame once, in order, whole. */
import { transmitAll } from '@netchannel2/frames';
import type { FramePort } from '@netchannel2/xen';
import { lastValueFrom } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { BridgedGuests } from './bridged-guests';
import { FRAMES, SAID, speaker } from './conversation';
import { digestOf, FrameDigest } from './frame-digest';
import { type Version, vif2Pair } from './vif2-pair';

const LARGE = FRAMES.filter((frame) => frame.byteLength > 256).length;
const VERSIONS: [Version, Version][] = [
  [1, 1],
  [1, 2],
  [2, 1],
  [2, 2],
];

const EXPECTED = digestOf(FRAMES);

/** Replays into one port and answers how many frames came out of another, and their digest. */
async function replay(
  from: FramePort,
  to: FramePort,
  settle: () => Promise<void>,
): Promise<readonly [number, string]> {
  const heard = new FrameDigest();
  const subscription = to.frames$.subscribe((frame) => heard.add(frame.toBytes()));
  const sent = lastValueFrom(transmitAll(from, FRAMES));
  await settle();
  expect((await sent).sent).toBe(FRAMES.length);
  await settle();
  subscription.unsubscribe();
  return heard.sum;
}

describe('between a guest and dom0', () => {
  it.each(VERSIONS)('guest v%i, dom0 v%i', async (guest, host) => {
    const pair = vif2Pair({ guest, host });
    await pair.device.connect();
    await pair.settle();
    const published = () => pair.machine.accounting(pair.guest.id)?.grantsPublished ?? 0;
    const before = published();
    expect(await replay(pair.front, pair.back, pair.settle)).toEqual(EXPECTED);
    // receiver_copy in an exact grant for each large packet, or receiver_map in pages that stay shared.
    const grants = published() - before;
    if (guest === 2) expect(grants).toBeGreaterThanOrEqual(LARGE);
    else expect(grants).toBeLessThanOrEqual(256);
    expect(await replay(pair.back, pair.front, pair.settle)).toEqual(EXPECTED);
    expect([pair.front.unfinished, pair.back.unfinished]).toEqual([0, 0]);
    await pair.device.remove();
    expect(pair.machine.leaks()).toEqual([]);
    pair.machine.shutdown();
  });
});

describe('between two guests', () => {
  it.each(VERSIONS)('sender v%i, receiver v%i', async (sender, receiver) => {
    for (const host of [1, 2] as const) {
      const site = new BridgedGuests({
        guests: [sender, receiver],
        host,
        front: { ringPageOrder: 4 },
        back: { poolPages: 512 },
      });
      await site.start();
      // A bridge drops what its next port has no room for, so the conversation goes in pieces that fit.
      for (let next = 0; next < FRAMES.length; next += 32) {
        for (const frame of FRAMES.slice(next, next + 32))
          expect(site.guest(speaker(frame)).front.send(frame)).toBe(true);
        await site.clock.settle();
      }
      for (const [index, frames] of SAID.entries()) {
        expect(digestOf(site.guest(1 - index).received)).toEqual(digestOf(frames));
        expect([site.guest(index).front.unfinished, site.guest(index).back.unfinished]).toEqual([0, 0]);
      }
      const inGrants = SAID[0].filter((frame) => frame.byteLength > 256).length;
      const forwarded = site.forwarded(0);
      if (sender === 2 && host === 2) expect(forwarded).toBeGreaterThanOrEqual(SAID[0].length);
      else expect(forwarded).toBeLessThanOrEqual(SAID[0].length - inGrants + 1);
      await site.stop();
      expect(site.machine.leaks()).toEqual([]);
      site.machine.shutdown();
    }
  });
});
