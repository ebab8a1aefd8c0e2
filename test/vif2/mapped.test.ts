/** `mapFrom`: receiver_map packets stay with their sender until somebody looks at them, and never for more than a second. */
import { type DomainAccounting, type Frame, GrantStatus } from '@netchannel2/xen';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { numberedFrame, type Vif2Pair, vif2Pair } from './vif2-pair';

describe.each([1, 2] as const)('a host with a table of version %i that maps', (host) => {
  let pair: Vif2Pair;
  let start: Record<string, number>;
  let dead: boolean;

  const accounting = (): DomainAccounting => {
    const counted = pair.machine.accounting(pair.host.id);
    if (counted === undefined) throw new Error('dom0 has gone');
    return counted;
  };
  const mappings = () => accounting().mappings;
  const calls = () => {
    const { grantMaps, grantUnmaps, grantCopies } = accounting();
    return { map: grantMaps, unmap: grantUnmaps, copy: grantCopies };
  };

  beforeEach(async () => {
    dead = false;
    pair = vif2Pair({ guest: 1, host, back: { mapFrom: 1000 } });
    await pair.device.connect();
    await pair.settle();
    pair.front.send(numberedFrame(1514, 0));
    await pair.settle();
    await pair.device.disconnect();
    await pair.settle();
    start = pair.resources();
    await pair.device.connect();
    await pair.settle();
  });

  afterEach(async () => {
    if (!dead) await pair.device.disconnect();
    await pair.settle();
    const left = pair.resources();
    expect([left.hostPages, left.hostRefs]).toEqual([start.hostPages, start.hostRefs]);
    if (!dead) expect(left).toEqual(start);
    expect(pair.clock.timers).toBe(0);
    expect(pair.machine.leaks()).toEqual([]);
    pair.machine.shutdown();
  });

  /** What dom0 did while the guest sent one frame to `subscriber`. */
  async function cost(length: number, subscriber: (frame: Frame) => void) {
    const before = calls();
    const subscription = pair.back.frames$.subscribe(subscriber);
    expect(pair.front.send(numberedFrame(length, 7))).toBe(true);
    await pair.settle();
    subscription.unsubscribe();
    const after = calls();
    return { map: after.map - before.map, unmap: after.unmap - before.unmap, copy: after.copy - before.copy };
  }

  it('a frame that is only looked at inline is neither mapped nor copied', async () => {
    const seen: number[] = [];
    const spent = await cost(9000, (frame) => seen.push(frame.byteLength, frame.uint16(12)));
    expect(seen).toEqual([9000, 0x88b5]);
    expect(spent).toEqual({ map: 0, unmap: 0, copy: 0 });
    expect(pair.front.unfinished).toBe(0);
  });

  it('a frame that is read is mapped once and unmapped when its emission ends', async () => {
    let mapped = 0;
    const spent = await cost(1514, (frame) => {
      expect(frame.uint8(1513)).toBe(numberedFrame(1514, 7)[1513]);
      expect(frame.toBytes()).toEqual(numberedFrame(1514, 7));
      expect(frame.view(100, 200).toBytes()).toEqual(numberedFrame(1514, 7).subarray(100, 200));
      mapped = mappings();
    });
    expect(spent).toEqual({ map: 1, unmap: 1, copy: 0 });
    expect(mapped - mappings()).toBe(1);
    expect(pair.front.unfinished).toBe(0);
  });

  it('a short frame is copied: that costs less', async () => {
    const spent = await cost(999, (frame) => expect(frame.toBytes()).toEqual(numberedFrame(999, 7)));
    expect(spent).toEqual({ map: 0, unmap: 0, copy: 1 });
  });

  it('a retained frame delays its FINISH until it is released', async () => {
    const kept: Frame[] = [];
    const idle = mappings();
    pair.back.frames$.subscribe((frame) => {
      frame.uint8(1000);
      const lease = frame.retain();
      if (lease !== undefined) kept.push(lease);
    });
    pair.front.send(numberedFrame(9000, 3));
    for (let turn = 0; kept.length === 0 && turn < 100; turn += 1) await pair.clock.advance(1);
    expect(mappings()).toBeGreaterThan(idle);
    expect(pair.front.unfinished).toBe(1);
    expect(kept[0]?.toBytes()).toEqual(numberedFrame(9000, 3));
    const view = kept[0]?.view(4000, 5000);
    kept[0]?.release();
    kept[0]?.release();
    expect(mappings()).toBe(idle);
    expect(view?.byteLength).toBe(0);
    await pair.clock.advance(2);
    expect(pair.front.unfinished).toBe(0);
  });

  it('a frame retained for long is copied out within a second, and stays what it was', async () => {
    const kept: Frame[] = [];
    const idle = mappings();
    const subscription = pair.back.frames$.subscribe((frame) => {
      frame.uint8(1000);
      const lease = frame.retain();
      if (lease !== undefined) kept.push(lease);
    });
    pair.front.send(numberedFrame(9000, 4));
    await pair.clock.advance(400);
    expect(pair.front.unfinished).toBe(1);
    expect(mappings()).toBeGreaterThan(idle);
    await pair.clock.advance(600);
    expect(pair.front.unfinished).toBe(0);
    expect(mappings()).toBe(idle);
    subscription.unsubscribe();
    // The guest uses the page again.
    for (let number = 0; number < 300; number += 1) pair.front.send(numberedFrame(1514, number));
    await pair.settle();
    expect(kept[0]?.toBytes()).toEqual(numberedFrame(9000, 4));
    kept[0]?.release();
  });

  it('whoever sends a frame on gets pages of dom0’s, not of the guest’s', async () => {
    const received: Uint8Array[] = [];
    pair.front.frames$.subscribe((frame) => received.push(frame.toBytes()));
    const spent = await cost(9000, (frame) => expect(pair.back.send(frame)).toBe(true));
    expect(spent.map).toBe(0);
    expect(received).toEqual([numberedFrame(9000, 7)]);
  });

  it('where mapping is refused the frame is copied; after three refusals nobody tries any more', async () => {
    let asked = 0;
    Object.assign(pair.host.foreign, {
      map: () => {
        asked += 1;
        return GrantStatus.permissionDenied;
      },
    });
    const received: Uint8Array[] = [];
    for (let number = 0; number < 5; number += 1) {
      const spent = await cost(9000, (frame) => received.push(frame.toBytes()));
      expect([spent.map, spent.unmap, spent.copy > 0]).toEqual([0, 0, true]);
    }
    Reflect.deleteProperty(pair.host.foreign, 'map');
    expect(asked).toBe(3);
    for (const bytes of received) expect(Buffer.compare(bytes, numberedFrame(9000, 7))).toBe(0);
    expect(received).toHaveLength(5);
    expect(pair.front.unfinished).toBe(0);
  });

  it.each(['disconnect', 'guest dies'] as const)(
    'frames are retained, mapped and not: %s; nothing stays mapped, and the bytes are there',
    async (event) => {
      const kept: Frame[] = [];
      pair.back.frames$.subscribe((frame) => {
        if (kept.length === 0) frame.uint8(1000);
        const lease = frame.retain();
        if (lease !== undefined) kept.push(lease);
      });
      const idle = mappings();
      for (const number of [1, 2]) pair.front.send(numberedFrame(5000, number));
      await pair.clock.advance(10);
      expect(kept.length).toBe(2);
      expect(mappings()).toBeGreaterThan(idle);
      if (event === 'disconnect') await pair.device.disconnect();
      else {
        pair.machine.destroyDomain(pair.guest.id);
        await pair.settle();
        await pair.clock.during(pair.back.disconnect());
        pair.back.removed();
        pair.front.removed();
        await pair.clock.advance(1000);
      }
      await pair.settle();
      expect(mappings()).toBe(0);
      expect(kept[0]?.toBytes()).toEqual(numberedFrame(5000, 1));
      // Never mapped: what a dead guest had is gone, and nobody else's bytes are in its place.
      const gone = numberedFrame(5000, 2).fill(0, 80);
      expect(kept[1]?.toBytes()).toEqual(event === 'disconnect' ? numberedFrame(5000, 2) : gone);
      for (const frame of kept) frame.release();
      dead = event === 'guest dies';
    },
  );
});
