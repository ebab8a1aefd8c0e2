import { FramePool, LeasedFrame } from '@netchannel2/frames';
import { Machine, type SimulatedDomain } from '@netchannel2/hypervisor';
import { type Frame, FrameChecksum, FrameSegmentation } from '@netchannel2/xen';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { patternBytes as pattern, sameFrames } from './pattern';
import { type VifPair, vifPair, withoutKernels } from './vif-pair';

const collect = (port: { frames$: VifPair['front']['frames$'] }): Uint8Array[] => {
  const frames: Uint8Array[] = [];
  port.frames$.subscribe((frame) => frames.push(frame.toBytes()));
  return frames;
};

describe.each([
  { guest: 1, host: 1 },
  { guest: 1, host: 2 },
  { guest: 2, host: 1 },
  { guest: 2, host: 2 },
  { guest: 2, host: 2, without: 'kernels' },
] as const)('guest on grant table v$guest, host on v$host, without $without', (versions) => {
  let machine: Machine;
  let host: SimulatedDomain;
  let guest: SimulatedDomain;
  let pair: VifPair;
  let start: { host: number; guest: number; refs: number };

  beforeEach(async () => {
    machine = Machine.boot({ memoryBytes: 64 << 20 });
    host = machine.createDomain({ grantTableVersion: versions.host });
    guest = machine.createDomain({ grantTableVersion: versions.guest });
    if ('without' in versions) withoutKernels(host);
    pair = vifPair(guest, host);
    // The first connection leaves behind what the host keeps for the next ones.
    await pair.connect();
    await pair.disconnect();
    start = { host: host.memory.freePages, guest: guest.memory.freePages, refs: guest.grants.freeRefs };
    await pair.connect();
  });

  afterEach(async () => {
    await machine.idle();
    await pair.disconnect();
    expect(pair.links.front.failures).toEqual([]);
    expect(pair.links.back.failures).toEqual([]);
    expect({
      host: host.memory.freePages,
      guest: guest.memory.freePages,
      refs: guest.grants.freeRefs,
    }).toEqual(start);
    expect(machine.leaks().filter((leak) => leak.kind !== 'ports')).toEqual([]);
    machine.shutdown();
  });

  it.each([14, 60, 1514, 4096, 4097, 9000, 65535])('%i bytes cross in both directions', async (length) => {
    const toHost = collect(pair.back);
    const toGuest = collect(pair.front);
    expect(pair.front.send(pattern(length, 1))).toBe(true);
    expect(pair.back.send(pattern(length, 2))).toBe(true);
    await machine.idle();
    expect(sameFrames(toHost, [pattern(length, 1)])).toBe(true);
    expect(sameFrames(toGuest, [pattern(length, 2)])).toBe(true);
  });

  it('a thousand frames arrive once and in order, with back-pressure', async () => {
    const toHost = collect(pair.back);
    const toGuest = collect(pair.front);
    const pump = (port: VifPair['front'] | VifPair['back'], salt: number) => {
      let next = 0;
      const go = () => {
        while (next < 1000 && port.send(pattern(60 + next, salt + next))) next += 1;
      };
      port.writable$.subscribe(go);
      go();
    };
    pump(pair.front, 0);
    pump(pair.back, 5);
    await machine.idle();
    const sent = (salt: number) =>
      Array.from({ length: 1000 }, (_, index) => pattern(60 + index, salt + index));
    expect(sameFrames(toHost, sent(0))).toBe(true);
    expect(sameFrames(toGuest, sent(5))).toBe(true);
  });

  it('frames echoed by the backend come back from where they lie', async () => {
    const echoed = collect(pair.front);
    pair.back.frames$.subscribe((frame) => pair.back.send(frame));
    for (let index = 0; index < 50; index += 1)
      expect(pair.front.send(pattern(60 + index * 150, index))).toBe(true);
    await machine.idle();
    expect(
      sameFrames(
        echoed,
        Array.from({ length: 50 }, (_, index) => pattern(60 + index * 150, index)),
      ),
    ).toBe(true);
    expect(pair.front.counters).toMatchObject({ framesSent: 50, framesReceived: 50 });
    expect(pair.back.counters).toMatchObject({ framesSent: 50, framesReceived: 50 });
  });

  it('frames echoed by the frontend are granted, not copied', async () => {
    const echoed = collect(pair.back);
    pair.front.frames$.subscribe((frame) => pair.front.send(frame));
    for (let index = 0; index < 50; index += 1)
      expect(pair.back.send(pattern(60 + index * 150, index))).toBe(true);
    await machine.idle();
    expect(
      sameFrames(
        echoed,
        Array.from({ length: 50 }, (_, index) => pattern(60 + index * 150, index)),
      ),
    ).toBe(true);
  });

  it('checksum and segmentation travel with a frame in fragments', async () => {
    const pool = FramePool.create(guest.memory, 4);
    if (pool === undefined) throw new Error('no pages');
    const frame = pool.frameFrom(pattern(10000, 3)) ?? new LeasedFrame();
    frame.checksum = FrameChecksum.blank;
    frame.segmentation = FrameSegmentation.tcpv6;
    frame.segmentSize = 1428;
    const seen: Pick<Frame, 'checksum' | 'segmentation' | 'segmentSize'>[] = [];
    const echoed: Uint8Array[] = [];
    const note = ({ checksum, segmentation, segmentSize }: Frame) =>
      seen.push({ checksum, segmentation, segmentSize });
    pair.back.frames$.subscribe((received) => {
      note(received);
      pair.back.send(received);
    });
    pair.front.frames$.subscribe((received) => {
      note(received);
      echoed.push(received.toBytes());
    });
    expect(pair.front.send(frame)).toBe(true);
    frame.release();
    await machine.idle();
    const expected = {
      checksum: FrameChecksum.blank,
      segmentation: FrameSegmentation.tcpv6,
      segmentSize: 1428,
    };
    expect(seen).toEqual([expected, expected]);
    expect(sameFrames(echoed, [pattern(10000, 3)])).toBe(true);
    expect(pool.outstanding).toBe(0);
    pool.close();
  });

  it('retained frames keep their bytes while the rings go on, and starve nothing for good', async () => {
    const kept: Frame[] = [];
    const subscription = pair.front.frames$.subscribe((frame) => {
      const retained = frame.retain();
      if (retained !== undefined) kept.push(retained);
    });
    let sent = 0;
    const go = () => {
      while (sent < 330 && pair.back.send(pattern(1514, sent))) sent += 1;
    };
    pair.back.writable$.subscribe(go);
    go();
    await machine.idle();
    const held = kept.length;
    expect(held).toBe(320);
    expect(kept.every((frame, index) => Buffer.compare(frame.toBytes(), pattern(1514, index)) === 0)).toBe(
      true,
    );
    for (const frame of kept) frame.release();
    expect(kept[0]?.byteLength).toBe(0);
    await new Promise((resolve) => {
      pair.front.frames$.subscribe(() => kept.length === 330 && resolve(undefined));
    });
    expect(kept.slice(320).map((frame) => frame.toBytes())).toEqual(
      Array.from({ length: 10 }, (_, index) => pattern(1514, 320 + index)),
    );
    for (const frame of kept) frame.release();
    subscription.unsubscribe();
  });

  it('frames in flight at a disconnect are counted, and the next connection works', async () => {
    const toHost = collect(pair.back);
    for (let index = 0; index < 10; index += 1) pair.front.send(pattern(100, index));
    await pair.disconnect();
    expect(pair.front.send(pattern(100, 1))).toBe(false);
    expect(pair.back.send(pattern(100, 1))).toBe(false);
    expect(toHost.length + pair.front.counters.dropped.lostInFlight).toBe(10);
    toHost.length = 0;
    await pair.connect();
    expect(pair.front.send(pattern(100, 20))).toBe(true);
    await machine.idle();
    expect(toHost).toEqual([pattern(100, 20)]);
  });
});
