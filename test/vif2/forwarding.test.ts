import { createHash } from 'node:crypto';
import { FramePool } from '@netchannel2/frames';
import { FrameChecksum } from '@netchannel2/xen';
import { afterEach, describe, expect, it } from 'vitest';
import { BROADCAST, BridgedGuests, type BridgedGuestsOptions, frameTo } from './bridged-guests';
import type { Version } from './vif2-pair';

const digests = (frames: readonly Uint8Array[]) =>
  frames.map((frame) => `${frame.length} ${createHash('sha1').update(frame).digest('hex').slice(0, 8)}`);

const LENGTHS = [14, 60, 256, 257, 1514, 4096, 4200, 9000, 60, 1514, 60, 30000];
const LARGE = LENGTHS.filter((length) => length > 256).length;
/** Bytes dom0 moves of a packet at most when it forwards it: the inline part, into its own page and on. */
const HEADS = 2 * 256;

let site: BridgedGuests;
const build = async (options: BridgedGuestsOptions = {}) => {
  site = new BridgedGuests({ front: { ringPageOrder: 2 }, ...options });
  await site.start();
  return site;
};
afterEach(() => site.machine.shutdown());

const end = async () => {
  await site.stop();
  expect(site.clock.timers).toBe(0);
  expect(site.machine.leaks()).toEqual([]);
};
const unfinished = () => site.guests.flatMap(({ front, back }) => [front.unfinished, back.unfinished]);

describe('two guests on a bridge', () => {
  const combinations: [Version, Version, Version][] = [];
  for (const sender of [1, 2] as const)
    for (const host of [1, 2] as const)
      for (const receiver of [1, 2] as const) combinations.push([sender, host, receiver]);

  it.each(combinations)('tables: sender v%i, host v%i, receiver v%i', async (sender, host, receiver) => {
    await build({ guests: [sender, receiver], host });
    // Pools of shared pages and the like are made by the first frames; references stay with ids, which take turns.
    let resources = site.resources();
    for (
      let round = 0, before: typeof resources = [];
      round < 12 && before.join() !== resources.join();
      round += 1
    ) {
      before = resources;
      await site.send(0, 1, LENGTHS);
      await site.send(1, 0, LENGTHS);
      resources = site.resources();
    }
    for (const guest of site.guests) guest.received.length = 0;
    const before = site.accounting(site.host);
    const forwardedBefore = site.forwarded(0);
    const sent = [await site.send(0, 1, LENGTHS), await site.send(1, 0, LENGTHS)];
    expect(digests(site.guest(1).received)).toEqual(digests(sent[0] ?? []));
    expect(digests(site.guest(0).received)).toEqual(digests(sent[1] ?? []));
    const after = site.accounting(site.host);
    const touched = after.bytesCopiedBy - before.bytesCopiedBy;
    const transitively = host === 2 && sender === 2;
    // A packet that is whole in its head needs no grant to be forwarded.
    expect(site.forwarded(0) - forwardedBefore).toBe(LENGTHS.length - (transitively ? 0 : LARGE));
    if (transitively && receiver === 2) {
      expect(touched).toBeLessThanOrEqual(2 * LENGTHS.length * HEADS);
      expect(after.grantCopies).toBe(before.grantCopies);
    } else expect(touched).toBeGreaterThan(40_000);
    expect(unfinished()).toEqual([0, 0, 0, 0]);
    expect(site.resources()).toEqual(resources);
    await end();
  });

  it('a host that forbids transitive grants copies, says so, and loses nothing', async () => {
    await build({ transitiveGrants: false });
    const sent = await site.send(0, 1, LENGTHS);
    expect(digests(site.guest(1).received)).toEqual(digests(sent));
    expect(site.accounting(site.host).grantCopies).toBeGreaterThanOrEqual(LARGE);
    await end();
  });

  it('a recorder beside the bridge sees all frames, which are copied for it', async () => {
    await build();
    let seen = 0;
    const recorder = site.guest(0).back.frames$.subscribe(() => (seen += 1));
    await site.send(0, 1, LENGTHS);
    expect([seen, site.guest(1).received.length]).toEqual([LENGTHS.length, LENGTHS.length]);
    recorder.unsubscribe();
    await site.send(0, 1, LENGTHS);
    expect([seen, site.guest(1).received.length]).toEqual([LENGTHS.length, 2 * LENGTHS.length]);
    await end();
  });

  it('more fragments than the receiver takes: packed in a copy', async () => {
    await build({ front: [{ ringPageOrder: 2 }, { ringPageOrder: 2, maxFragments: 1 }] });
    const { front, mac } = site.guest(0);
    const forwarded = site.forwarded(0);
    // Two fragments, which the receiver does not take.
    expect(front.send(frameTo(site.guest(1).mac, mac, 4200, 1))).toBe(true);
    await site.clock.settle();
    expect(site.forwarded(0)).toBe(forwarded);
    expect(site.guest(1).received.map((frame) => frame.length)).toEqual([4200]);
  });

  it('counts as any frame', async () => {
    await build();
    const port = site.guest(0).back;
    const before = [port.counters.framesReceived, port.counters.bytesReceived];
    const sentBefore = site.guest(1).back.counters.framesSent;
    await site.send(0, 1, [60, 1514]);
    expect([port.counters.framesReceived, port.counters.bytesReceived]).toEqual([
      (before[0] ?? 0) + 2,
      (before[1] ?? 0) + 1574,
    ]);
    expect(site.guest(1).back.counters.framesSent).toBe(sentBefore + 2);
    await end();
  });
});

describe('several receivers', () => {
  it('share one packet, finished when the last of them is', async () => {
    await build({ guests: [2, 2, 1] });
    const before = site.accounting(site.host);
    site.halt(2, true);
    const frame = frameTo(BROADCAST, site.guest(0).mac, 1514, 1);
    site.guest(0).front.send(frame);
    await site.clock.settle();
    expect(digests(site.guest(1).received)).toEqual(digests([frame]));
    expect([site.guest(0).front.unfinished, site.guest(2).back.unfinished]).toEqual([1, 1]);
    site.halt(2, false);
    await site.clock.settle();
    expect(digests(site.guest(2).received)).toEqual(digests([frame]));
    expect(unfinished()).toEqual([0, 0, 0, 0, 0, 0]);
    expect(site.accounting(site.host).grantCopies).toBe(before.grantCopies);
    await end();
  });

  it('more than four get one copy', async () => {
    await build({ guests: [2, 2, 2, 2, 2, 2] });
    const before = site.accounting(site.host);
    const frame = frameTo(BROADCAST, site.guest(0).mac, 1514, 1);
    site.guest(0).front.send(frame);
    await site.clock.settle();
    for (const guest of site.guests.slice(1)) expect(digests(guest.received)).toEqual(digests([frame]));
    expect(site.accounting(site.host).grantCopies).toBe(before.grantCopies + 1);
    await end();
  });
});

describe('while packets are in transit', () => {
  it('10.4 #12: a receiver that does not finish gets nothing after a second, and the sender is free', async () => {
    await build();
    site.halt(1, true);
    await site.send(0, 1, [1514, 1514]);
    expect([site.guest(0).front.unfinished, site.guest(1).back.unfinished]).toEqual([2, 2]);
    await site.clock.advance(999);
    expect(site.guest(0).front.unfinished).toBe(2);
    await site.clock.advance(500);
    expect([site.guest(0).front.unfinished, site.guest(1).back.unfinished]).toEqual([0, 0]);
    site.halt(1, false);
    await site.clock.settle();
    expect(site.guest(1).received).toEqual([]);
    expect(site.guest(1).front.counters.dropped.notObtained).toBe(2);
    // The late FINISHes were ignored, and all goes on.
    const sent = await site.send(0, 1, LENGTHS);
    expect(digests(site.guest(1).received)).toEqual(digests(sent));
    expect(unfinished()).toEqual([0, 0, 0, 0]);
    await end();
  });

  it('a sender may have half of a receiver’s credit waiting; what comes beyond is copied and finished', async () => {
    await build({ front: [{ ringPageOrder: 4 }, { ringPageOrder: 4, maxPackets: 8 }] });
    site.halt(1, true);
    await site.send(0, 1, new Array<number>(12).fill(1514));
    expect(site.guest(0).front.unfinished).toBe(4);
    expect(site.guest(1).back.unfinished).toBe(8);
    site.halt(1, false);
    await site.clock.settle();
    expect(site.guest(1).received).toHaveLength(8);
    expect(unfinished()).toEqual([0, 0, 0, 0]);
    await end();
  });

  it('the sender is destroyed: the receiver drops what it could not copy, and nothing is left', async () => {
    await build({ guests: [2, 2, 2] });
    site.halt(1, true);
    await site.send(0, 1, [1514, 9000, 1514]);
    site.machine.destroyDomain(site.guest(0).domain.id);
    site.halt(1, false);
    await site.clock.settle();
    expect(site.guest(1).front.counters.dropped.notObtained).toBe(3);
    expect(site.guest(1).back.unfinished).toBe(0);
    site.guest(0).device.backend.removed();
    const sent = await site.send(2, 1, LENGTHS);
    expect(digests(site.guest(1).received)).toEqual(digests(sent));
    expect(site.guest(1).device.failures).toEqual([]);
    for (const index of [1, 2]) await site.guest(index).device.remove();
    expect(site.machine.leaks()).toEqual([]);
  });

  it('the receiver is destroyed: the sender is told, and nothing is left', async () => {
    await build({ guests: [2, 2, 2] });
    site.halt(1, true);
    await site.send(0, 1, [1514, 9000, 1514]);
    expect(site.guest(0).front.unfinished).toBe(3);
    site.machine.destroyDomain(site.guest(1).domain.id);
    site.guest(1).device.backend.removed();
    await site.clock.settle();
    expect(site.guest(0).front.unfinished).toBe(0);
    const sent = await site.send(0, 2, LENGTHS);
    expect(digests(site.guest(2).received)).toEqual(digests(sent));
    for (const index of [0, 2]) await site.guest(index).device.remove();
    expect(site.machine.leaks()).toEqual([]);
  });

  it('the sender’s device closes: the receiver’s copies fail, all else goes on', async () => {
    await build({ guests: [2, 2, 2] });
    site.halt(1, true);
    await site.send(0, 1, [1514, 1514]);
    await site.guest(0).device.disconnect();
    site.halt(1, false);
    await site.clock.settle();
    expect([site.guest(1).received, site.guest(1).back.unfinished]).toEqual([[], 0]);
    await site.guest(0).device.connect();
    await site.clock.settle();
    const sent = await site.send(0, 1, LENGTHS);
    expect(digests(site.guest(1).received)).toEqual(digests(sent));
    await end();
  });

  it('the receiver’s device closes: the sender is told', async () => {
    await build();
    site.halt(1, true);
    await site.send(0, 1, [1514, 1514]);
    site.halt(1, false);
    await site.guest(1).device.disconnect();
    await site.clock.settle();
    expect(unfinished()).toEqual([0, 0, 0, 0]);
    await end();
  });

  it('a receiver that obtains nothing three times gets copies for ten seconds', async () => {
    await build({ front: [{ ringPageOrder: 2 }, { ringPageOrder: 2, poolPages: 2 }] });
    // Its user keeps all pages of its pool.
    const kept: (() => void)[] = [];
    const keeper = site.guest(1).front.frames$.subscribe((frame) => {
      const lease = frame.retain();
      if (lease !== undefined) kept.push(() => lease.release());
    });
    await site.send(0, 1, [1514, 1514, 1514, 1514, 1514]);
    keeper.unsubscribe();
    for (const release of kept) release();
    const copies = site.accounting(site.host).grantCopies;
    await site.send(0, 1, [1514]);
    expect(site.accounting(site.host).grantCopies).toBe(copies + 1);
    await site.clock.advance(10_100);
    await site.send(0, 1, [1514]);
    expect(site.accounting(site.host).grantCopies).toBe(copies + 1);
    await end();
  });
});

describe('a packet with a blank checksum', () => {
  it.each([true, false])('receiver takes it: %s', async (checksumOffload) => {
    await build({ front: [{ ringPageOrder: 2 }, { ringPageOrder: 2, checksumOffload }] });
    const seen: number[][] = [];
    site.guest(1).front.frames$.subscribe((frame) => {
      seen.push([frame.checksum, frame.checksumStart, frame.checksumOffset]);
    });
    const { front, mac, domain } = site.guest(0);
    const pool = FramePool.create(domain.memory, 4);
    const frame = pool?.frameFrom(frameTo(site.guest(1).mac, mac, 1514, 1));
    if (frame === undefined) throw new Error('no pages');
    frame.checksum = FrameChecksum.blank;
    frame.checksumStart = 34;
    frame.checksumOffset = 16;
    const before = site.forwarded(0);
    expect(front.send(frame)).toBe(true);
    frame.release();
    await site.clock.settle();
    expect(seen).toEqual([checksumOffload ? [FrameChecksum.blank, 34, 16] : [FrameChecksum.unknown, 0, 0]]);
    expect(site.forwarded(0) - before).toBe(checksumOffload ? 1 : 0);
    pool?.close();
    await end();
  });
});
