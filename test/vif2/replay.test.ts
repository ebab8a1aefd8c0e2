/** A recorded conversation crosses every kind of path, over every pair of table versions: each frame once, in order, whole. */
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { readCapture } from '@netchannel2/bridge';
import { transmitAll } from '@netchannel2/frames';
import type { FramePort } from '@netchannel2/xen';
import { lastValueFrom } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { BridgedGuests } from './bridged-guests';
import { type Version, vif2Pair } from './vif2-pair';

const CAPTURE = fileURLToPath(new URL('../../examples/captures/linux-veth.pcap', import.meta.url));
const FRAMES = readCapture(CAPTURE).frames.map((frame) => frame.bytes);
const LARGE = FRAMES.filter((frame) => frame.byteLength > 256).length;
/** Which of the two who talk to each other sent a frame: by its source address. */
const speaker = (frame: Uint8Array): 0 | 1 =>
  FRAMES[0]?.subarray(6, 12).every((byte, index) => byte === frame[6 + index]) === true ? 0 : 1;
const SAID = [
  FRAMES.filter((frame) => speaker(frame) === 0),
  FRAMES.filter((frame) => speaker(frame) === 1),
] as const;
const VERSIONS: [Version, Version][] = [
  [1, 1],
  [1, 2],
  [2, 1],
  [2, 2],
];

const digestOf = (frames: Iterable<Uint8Array>): string => {
  const hash = createHash('sha256');
  for (const frame of frames) hash.update(`${frame.byteLength}\n`).update(frame);
  return hash.digest('hex');
};
const EXPECTED = digestOf(FRAMES);

/** Replays into one port and answers how many frames came out of another, and their digest. */
async function replay(
  from: FramePort,
  to: FramePort,
  settle: () => Promise<void>,
): Promise<[number, string]> {
  const hash = createHash('sha256');
  let count = 0;
  const subscription = to.frames$.subscribe((frame) => {
    const bytes = frame.toBytes();
    hash.update(`${bytes.byteLength}\n`).update(bytes);
    count += 1;
  });
  const sent = lastValueFrom(transmitAll(from, FRAMES));
  await settle();
  expect((await sent).sent).toBe(FRAMES.length);
  await settle();
  subscription.unsubscribe();
  return [count, hash.digest('hex')];
}

describe('between a guest and dom0', () => {
  it.each(VERSIONS)('guest v%i, dom0 v%i', async (guest, host) => {
    const pair = vif2Pair({ guest, host });
    await pair.device.connect();
    await pair.settle();
    const published = () => pair.machine.accounting(pair.guest.id)?.grantsPublished ?? 0;
    const before = published();
    expect(await replay(pair.front, pair.back, pair.settle)).toEqual([FRAMES.length, EXPECTED]);
    // receiver_copy in an exact grant for each large packet, or receiver_map in pages that stay shared.
    const grants = published() - before;
    if (guest === 2) expect(grants).toBeGreaterThanOrEqual(LARGE);
    else expect(grants).toBeLessThanOrEqual(256);
    expect(await replay(pair.back, pair.front, pair.settle)).toEqual([FRAMES.length, EXPECTED]);
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
        expect(digestOf(site.guest(1 - index).received)).toBe(digestOf(frames));
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
