import { sendBurst } from '@netchannel2/frames';
import type { Frame, FrameView } from '@netchannel2/xen';
import { describe, expect, it } from 'vitest';
import { sequenceDifference } from '../frame-difference';
import { FRAME_SIZES_AT_LIMITS, frameSequence } from '../frame-sequence';
import { required } from './domain-trio';
import {
  DIRECTIONS,
  endsOf,
  type FramePortPair,
  type FramePortPairFactory,
  randomFrame,
  received,
  sendAll,
  withPorts,
} from './frame-port-pair';

/** Where the pair does not say. */
const STEADY_REFUSALS = 200;

/** Enough to fill any ring: no port holds this many frames of one size. */
const MORE_THAN_ANY_RING = 5000;

const sizesOf = (pair: FramePortPair) => FRAME_SIZES_AT_LIMITS.filter((size) => size <= pair.longestFrame);

/** What every pair of connected `FramePort`s must do (`xen` port `frame`): vif, vif2, TAP, and decorators of them. */
export function describeFramePort(name: string, factory: FramePortPairFactory): void {
  describeDelivery(name, factory);
  describeBackPressure(name, factory);
  describeReceivedFrames(name, factory);
  describeSentFrames(name, factory);
  describeTeardown(name, factory);
}

function describeDelivery(name: string, factory: FramePortPairFactory): void {
  describe(`frame delivery: ${name}`, () => {
    it.each(DIRECTIONS)('carries every size unchanged, %s', async (direction) => {
      await withPorts(factory, async (pair) => {
        const { sender, receiver } = endsOf(pair, direction);
        const arrived = received(receiver);
        const sent = sizesOf(pair).map(randomFrame(1));
        await sendAll(pair, sender, sent);
        expect(sequenceDifference(sent, arrived)).toBeUndefined();
      })();
    });

    it.each(DIRECTIONS)('keeps the order of many frames of mixed sizes, %s', async (direction) => {
      await withPorts(factory, async (pair) => {
        const { sender, receiver } = endsOf(pair, direction);
        const arrived = received(receiver);
        const high = Math.min(9014, pair.longestFrame);
        const sent = [...frameSequence(11, { count: 600, sizes: { low: 14, high } })];
        await sendAll(pair, sender, sent);
        expect(sequenceDifference(sent, arrived)).toBeUndefined();
      })();
    });

    it(
      'carries both directions at once',
      withPorts(factory, async (pair) => {
        const atA = received(pair.a);
        const atB = received(pair.b);
        const fromA = [...frameSequence(1, { count: 200 })];
        const fromB = [...frameSequence(2, { count: 200 })];
        for (let index = 0; index < 200; index += 10) {
          const next = (frames: Uint8Array[]) => frames.slice(index, index + 10);
          for (const frame of next(fromA)) expect(pair.a.send(frame)).toBe(true);
          for (const frame of next(fromB)) expect(pair.b.send(frame)).toBe(true);
          await pair.settle();
        }
        expect(sequenceDifference(fromA, atB)).toBeUndefined();
        expect(sequenceDifference(fromB, atA)).toBeUndefined();
      }),
    );

    it(
      'makes frames visible by flush, and at the latest when the pass ends',
      withPorts(factory, async (pair) => {
        const arrived = received(pair.b);
        pair.a.send(randomFrame(1)(60));
        pair.a.flush();
        pair.a.flush();
        await pair.settle();
        expect(arrived).toHaveLength(1);
        pair.a.send(randomFrame(2)(60));
        await pair.settle();
        expect(arrived).toHaveLength(2);
      }),
    );

    it(
      'lets a subscriber answer from inside the emission',
      withPorts(factory, async (pair) => {
        const answers = received(pair.a);
        pair.b.frames$.subscribe((frame) => pair.b.send(frame.toBytes()));
        const sent = [...frameSequence(5, { count: 20 })];
        await sendAll(pair, pair.a, sent);
        expect(sequenceDifference(sent, answers)).toBeUndefined();
      }),
    );

    it(
      'counts frames and bytes at both ends',
      withPorts(factory, async (pair) => {
        const before = { sent: { ...pair.a.counters }, got: { ...pair.b.counters } };
        received(pair.b);
        const sent = [...frameSequence(3, { count: 25, sizes: [60, 1514, 5000] })];
        const bytes = sent.reduce((sum, frame) => sum + frame.byteLength, 0);
        await sendAll(pair, pair.a, sent);
        expect(pair.a.counters.framesSent - before.sent.framesSent).toBe(25);
        expect(pair.a.counters.bytesSent - before.sent.bytesSent).toBe(bytes);
        expect(pair.b.counters.framesReceived - before.got.framesReceived).toBe(25);
        expect(pair.b.counters.bytesReceived - before.got.bytesReceived).toBe(bytes);
      }),
    );

    it(
      'drops and counts what nobody subscribed to, and goes on with the next subscriber',
      withPorts(factory, async (pair) => {
        const dropped = () => Object.values(pair.b.counters.dropped).reduce((sum, count) => sum + count, 0);
        const before = dropped();
        await sendAll(pair, pair.a, [...frameSequence(3, { count: 400, sizes: [60, 1514] })]);
        expect(dropped() - before).toBe(400);
        const arrived = received(pair.b);
        const late = [...frameSequence(4, { count: 5 })];
        await sendAll(pair, pair.a, late);
        expect(sequenceDifference(late, arrived)).toBeUndefined();
      }),
    );

    it(
      'has a name to tell it from others',
      withPorts(factory, (pair) => {
        expect(pair.a.name).not.toBe('');
        expect(pair.b.name).not.toBe(pair.a.name);
      }),
    );
  });
}

function describeBackPressure(name: string, factory: FramePortPairFactory): void {
  describe(`back-pressure: ${name}`, () => {
    it.each([60, 1514, 9014])(
      'refuses %i-byte frames it has no room for, then says when it has',
      async (size) => {
        await withPorts(factory, async (pair) => {
          const arrived = received(pair.b);
          let writable = 0;
          pair.a.writable$.subscribe(() => {
            writable += 1;
          });
          const frames = frameSequence(6, { sizes: [Math.min(size, pair.longestFrame)] });
          const taken: Uint8Array[] = [];
          let refused: Uint8Array | undefined;
          while (refused === undefined && taken.length < MORE_THAN_ANY_RING) {
            const frame = required(frames.next().value ?? undefined, 'a frame');
            if (pair.a.send(frame)) taken.push(frame);
            else refused = frame;
          }
          expect(refused).toBeDefined();
          expect(pair.a.counters.sendRefused).toBe(1);
          expect(writable).toBe(0);
          await pair.settle();
          expect(writable).toBeGreaterThanOrEqual(1);
          const rest = required(refused, 'the refused frame');
          expect(pair.a.send(rest)).toBe(true);
          await pair.settle();
          expect(sequenceDifference([...taken, rest], arrived)).toBeUndefined();
        })();
      },
    );

    it(
      'does not speak of room that nobody waited for',
      withPorts(factory, async (pair) => {
        let writable = 0;
        pair.a.writable$.subscribe(() => {
          writable += 1;
        });
        received(pair.b);
        await sendAll(pair, pair.a, [...frameSequence(6, { count: 3 })]);
        expect(writable).toBe(0);
      }),
    );
  });
}

function describeReceivedFrames(name: string, factory: FramePortPairFactory): void {
  describe(`received frames: ${name}`, () => {
    it(
      'are empty once the subscriber returned, with every view of them',
      withPorts(factory, async (pair) => {
        const kept: { frame: Frame; view: FrameView; header: FrameView }[] = [];
        pair.b.frames$.subscribe((frame) => {
          kept.push({ frame, view: frame.view(), header: frame.view(0, 14) });
        });
        await sendAll(
          pair,
          pair.a,
          [60, 1514, 9014].filter((size) => size <= pair.longestFrame).map(randomFrame(8)),
        );
        expect(kept.length).toBeGreaterThanOrEqual(2);
        for (const { frame, view, header } of kept) {
          expect([frame.byteLength, frame.fragmentCount]).toEqual([0, 0]);
          expect([view.byteLength, header.byteLength]).toEqual([0, 0]);
          expect(header.uint32(0)).toBe(0);
          expect(view.toBytes()).toEqual(new Uint8Array(0));
        }
      }),
    );

    it(
      'read alike through pieces, views and copies',
      withPorts(factory, async (pair) => {
        const sent = sizesOf(pair).map(randomFrame(1));
        let checked = 0;
        pair.b.frames$.subscribe((frame) => {
          const bytes = required(sent[checked], 'the frame sent');
          let start = 0;
          for (let index = 0; index < frame.fragmentCount; index += 1) {
            const page = frame.fragmentPage(index);
            const [offset, length] = [frame.fragmentOffset(index), frame.fragmentLength(index)];
            expect(offset + length).toBeLessThanOrEqual(4096);
            const piece = page.bytes.subarray(page.base + offset, page.base + offset + length);
            expect(Buffer.compare(piece, bytes.subarray(start, start + length))).toBe(0);
            start += length;
          }
          expect(start).toBe(bytes.byteLength);
          expect(frame.uint16(12)).toBe(((bytes[12] ?? 0) << 8) | (bytes[13] ?? 0));
          expect(frame.uint8(bytes.byteLength)).toBe(0);
          expect(Buffer.compare(frame.view(5).toBytes(), bytes.subarray(5))).toBe(0);
          checked += 1;
        });
        await sendAll(pair, pair.a, sent);
        expect(checked).toBe(sent.length);
      }),
    );

    it(
      'live on when retained, unharmed by what comes after them',
      withPorts(factory, async (pair) => {
        const kept: Frame[] = [];
        const first = pair.b.frames$.subscribe((frame) => {
          const retained = frame.retain();
          if (retained !== undefined) kept.push(retained);
        });
        const sent = [60, 200, 1514, 4096, Math.min(9014, pair.longestFrame)].map(randomFrame(20));
        await sendAll(pair, pair.a, sent);
        first.unsubscribe();
        expect(kept).toHaveLength(sent.length);
        const arrived = received(pair.b);
        const later = [...frameSequence(21, { count: 600, sizes: [60, 300, 1514, 4096] })];
        await sendAll(pair, pair.a, later);
        expect(sequenceDifference(later, arrived)).toBeUndefined();
        for (const [index, frame] of kept.entries()) {
          expect(Buffer.compare(frame.toBytes(), required(sent[index], 'the frame sent'))).toBe(0);
          const view = frame.view();
          frame.release();
          expect([frame.byteLength, view.byteLength]).toEqual([0, 0]);
        }
      }),
    );

    it(
      'can be retained by several holders, whose leases end each alone',
      withPorts(factory, async (pair) => {
        const kept: (Frame | undefined)[] = [];
        pair.b.frames$.subscribe((frame) => {
          kept.push(frame.retain(), frame.retain());
        });
        const sent = randomFrame(1)(600);
        await sendAll(pair, pair.a, [sent]);
        const [first, second] = kept;
        first?.release();
        expect(second?.toBytes()).toEqual(sent);
        second?.release();
        expect(second?.byteLength).toBe(0);
      }),
    );

    it(
      'retained without end meet an honest refusal, and traffic goes on once some are released',
      withPorts(factory, async (pair) => {
        const kept: Frame[] = [];
        const subscription = pair.b.frames$.subscribe((frame) => {
          const retained = frame.retain();
          if (retained !== undefined) kept.push(retained);
        });
        const flood = frameSequence(9, { count: 3000, sizes: [1514] });
        let refusals = 0;
        for (const frame of flood) {
          if (pair.a.send(frame)) {
            refusals = 0;
            continue;
          }
          await pair.settle();
          refusals += 1;
          // Nobody releases anything here, so nothing will change any more.
          if (refusals === (pair.steadyRefusals ?? STEADY_REFUSALS)) break;
        }
        await pair.settle();
        for (const frame of kept) frame.release();
        subscription.unsubscribe();
        await pair.settle();
        const arrived = received(pair.b);
        const after = [...frameSequence(10, { count: 50 })];
        await sendAll(pair, pair.a, after);
        // What had been under way during the flood may come first.
        expect(sequenceDifference(after, arrived.slice(-after.length))).toBeUndefined();
      }),
    );
  });
}

function describeSentFrames(name: string, factory: FramePortPairFactory): void {
  describe(`sent frames: ${name}`, () => {
    it(
      'may be bytes the sender changes right afterwards',
      withPorts(factory, async (pair) => {
        const arrived = received(pair.b);
        const bytes = randomFrame(1)(600);
        const original = bytes.slice();
        pair.a.send(bytes);
        bytes.fill(0);
        await pair.settle();
        expect(sequenceDifference([original], arrived)).toBeUndefined();
      }),
    );

    it(
      'may be frames of the sender’s pool, which get their pages back when the peer has them',
      withPorts(factory, async (pair) => {
        const pool = pair.poolOfA;
        if (pool === undefined) return;
        const arrived = received(pair.b);
        const before = pool.outstanding;
        const sent = [60, 600, 1514, 4096, Math.min(20_000, pair.longestFrame)].map(randomFrame(30));
        for (const bytes of sent) {
          const frame = required(pool.frameFrom(bytes), 'a frame of the pool');
          expect(pair.a.send(frame)).toBe(true);
          frame.release();
        }
        await pair.settle();
        expect(sequenceDifference(sent, arrived)).toBeUndefined();
        await pair.settle();
        expect(pool.outstanding).toBe(before);
      }),
    );

    it(
      'may be sent in bursts, as far as there is room, and the rest when there is',
      withPorts(factory, async (pair) => {
        const pool = pair.poolOfA;
        if (pool === undefined) return;
        const arrived = received(pair.b);
        const before = pool.outstanding;
        const sizes = [60, 256, 257, 1514, 1514, 1514, 600, Math.min(9014, pair.longestFrame)];
        const sent = Array.from({ length: 400 }, (_, index) =>
          randomFrame(60 + index)(required(sizes[(index * 5 + (index >> 4)) % sizes.length], 'a size')),
        );
        let next = 0;
        let turns = 0;
        for (; next < sent.length && turns < STEADY_REFUSALS; turns += 1) {
          const frames: Frame[] = [];
          for (const bytes of sent.slice(next, next + 60)) {
            const frame = pool.frameFrom(bytes);
            if (frame === undefined) break;
            frames.push(frame);
          }
          const given = frames.map((frame, index) => (index % 7 === 3 ? frame.toBytes() : frame));
          const taken = sendBurst(pair.a, given);
          expect(taken).toBeLessThanOrEqual(frames.length);
          for (const frame of frames) frame.release();
          next += taken;
          await pair.settle();
        }
        await pair.settle();
        expect(sequenceDifference(sent, arrived)).toBeUndefined();
        expect(pool.outstanding).toBe(before);
        expect(sendBurst(pair.a, [])).toBe(0);
      }),
    );

    it(
      'may be frames as they were received, sent back from inside their emission',
      withPorts(factory, async (pair) => {
        const answers = received(pair.a);
        pair.b.frames$.subscribe((frame) => pair.b.send(frame));
        const sent = [60, 256, 257, 1514, 4096, Math.min(9014, pair.longestFrame)].map(randomFrame(40));
        await sendAll(pair, pair.a, sent);
        expect(sequenceDifference(sent, answers)).toBeUndefined();
      }),
    );
  });
}

function describeTeardown(name: string, factory: FramePortPairFactory): void {
  describe(`removal: ${name}`, () => {
    it(
      'completes what the ports emit',
      withPorts(factory, async (pair) => {
        const completed: string[] = [];
        for (const port of [pair.a, pair.b]) {
          port.frames$.subscribe({ complete: () => completed.push(`${port.name} frames$`) });
          port.writable$.subscribe({ complete: () => completed.push(`${port.name} writable$`) });
        }
        await pair.remove();
        const names = [pair.a, pair.b].flatMap((port) => [`${port.name} frames$`, `${port.name} writable$`]);
        expect(completed.sort()).toEqual(names.sort());
        expect(pair.a.send(randomFrame(1)(60))).toBe(false);
        expect(pair.b.send(randomFrame(1)(60))).toBe(false);
        pair.a.flush();
      }),
    );

    it(
      'with frames under way neither throws nor leaks',
      withPorts(factory, async (pair) => {
        received(pair.a);
        received(pair.b);
        for (const frame of frameSequence(12, { count: 40, sizes: [60, 1514, 9014] })) {
          pair.a.send(frame);
          pair.b.send(frame);
        }
        pair.a.flush();
        pair.b.flush();
        await pair.remove();
      }),
    );

    it(
      'leaves retained frames readable until they are released',
      withPorts(factory, async (pair) => {
        const kept: Frame[] = [];
        pair.b.frames$.subscribe((frame) => {
          const retained = frame.retain();
          if (retained !== undefined) kept.push(retained);
        });
        const sent = [60, 1514, 4096].map(randomFrame(50));
        await sendAll(pair, pair.a, sent);
        await pair.remove();
        expect(
          sequenceDifference(
            sent,
            kept.map((frame) => frame.toBytes()),
          ),
        ).toBeUndefined();
        for (const frame of kept) frame.release();
        await pair.settle();
      }),
    );
  });
}
