import { FrameChecksum, FrameSegmentation } from '@netchannel2/xen';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type End, linkedEnds, numberedFrame } from './linked-ends.fixture';
import { TwoDomains } from './two-domains.fixture';

const hashes = (frames: readonly Uint8Array[]) =>
  frames.map((frame) => Buffer.from(frame).toString('base64'));

/** Sends all frames, pausing at back-pressure. */
function sendAll(settle: () => boolean, end: End, frames: readonly Uint8Array[], asFrames: boolean) {
  let next = 0;
  const advance = () => {
    for (; next < frames.length; next += 1) {
      const bytes = frames[next] ?? new Uint8Array(0);
      if (!asFrames) {
        if (!end.link.send(bytes)) return;
        continue;
      }
      const frame = end.pool.frameFrom(bytes);
      if (frame === undefined) return;
      const taken = end.link.send(frame);
      frame.release();
      if (!taken) return;
    }
  };
  const subscription = end.writable.subscribe(advance);
  for (let before = -1; next > before && next < frames.length; ) {
    before = next;
    advance();
    expect(settle()).toBe(true);
  }
  subscription.unsubscribe();
  return next;
}

describe('frames across a link', () => {
  const lengths = [14, 60, 255, 256, 257, 1514, 4096, 4097, 9000, 65535, 65536];
  const sequence = Array.from({ length: 300 }, (_, index) =>
    numberedFrame(lengths[index % 9] ?? 60, index),
  ).concat(lengths.map((length, index) => numberedFrame(length, index)));

  for (const order of [0, 1, 2, 4]) {
    for (const version of [1, 2] as const) {
      for (const asFrames of [false, true]) {
        it(`order ${order}, table version ${version}, ${asFrames ? 'page frames' : 'heap bytes'}: whole, once, in order`, () => {
          const machine = new TwoDomains();
          for (const domain of machine.domains) domain.grants.version = version;
          const { frontend, backend } = linkedEnds({ order, machine });
          expect(frontend.link.up && backend.link.up).toBe(true);
          const settle = () => machine.settle();
          expect(sendAll(settle, frontend, sequence, asFrames)).toBe(sequence.length);
          expect(hashes(backend.received)).toEqual(hashes(sequence));
          expect(sendAll(settle, backend, sequence, asFrames)).toBe(sequence.length);
          expect(hashes(frontend.received)).toEqual(hashes(sequence));
          expect([frontend.link.unfinished, backend.link.unfinished]).toEqual([0, 0]);
          expect([frontend.pool.outstanding, backend.pool.outstanding]).toEqual([0, 0]);
          expect(frontend.failures.concat(backend.failures)).toEqual([]);
        });
      }
    }
  }

  it('frames in both directions at once', () => {
    const { machine, frontend, backend } = linkedEnds();
    const frames = Array.from({ length: 500 }, (_, index) => numberedFrame(40 + index * 5, index));
    let next = 0;
    const advance = () => {
      while (next < frames.length && frontend.link.send(frames[next] ?? new Uint8Array(0))) next += 1;
    };
    const waiting: Uint8Array[] = [];
    backend.frames.subscribe((frame) => {
      const bytes = frame.toBytes();
      if (waiting.length > 0 || !backend.link.send(bytes)) waiting.push(bytes);
    });
    backend.writable.subscribe(() => {
      while (waiting[0] !== undefined && backend.link.send(waiting[0])) waiting.shift();
    });
    frontend.writable.subscribe(advance);
    advance();
    expect(machine.settle()).toBe(true);
    expect(hashes(frontend.received)).toEqual(hashes(frames));
  });

  it('any mix of packets that come in runs and packets that do not keeps bytes and order', () => {
    const length = fc.oneof(
      fc.integer({ min: 14, max: 256 }),
      fc.integer({ min: 257, max: 4096 }),
      fc.integer({ min: 4097, max: 9000 }),
    );
    fc.assert(
      fc.property(
        fc.array(length, { maxLength: 150 }),
        fc.integer({ min: 20, max: 256 }),
        (lengths, pages) => {
          const { machine, frontend, backend } = linkedEnds({ back: { poolPages: pages } });
          const frames = lengths.map((bytes, index) => numberedFrame(bytes, index));
          let next = 0;
          const advance = () => {
            while (next < frames.length && frontend.link.send(frames[next] ?? new Uint8Array(0))) next += 1;
          };
          frontend.writable.subscribe(advance);
          advance();
          expect(machine.settle()).toBe(true);
          expect(hashes(backend.received)).toEqual(hashes(frames));
          expect(frontend.link.unfinished).toBe(0);
          expect(backend.pool.outstanding).toBe(0);
          expect(frontend.pool.outstanding).toBe(0);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('a retained frame keeps only a page of the receiver, 10.4 #24', () => {
    const { machine, frontend, backend } = linkedEnds();
    const retained: (Uint8Array | undefined)[] = [];
    const frames = [numberedFrame(1514, 1), numberedFrame(1514, 2)];
    const kept: { toBytes(): Uint8Array; release(): void }[] = [];
    backend.frames.subscribe((frame) => {
      const lease = frame.retain();
      if (lease !== undefined) kept.push(lease);
    });
    for (const frame of frames) {
      frontend.link.send(frame);
      machine.settle();
      expect(frontend.link.unfinished).toBe(0);
    }
    for (const lease of kept) {
      retained.push(lease.toBytes());
      lease.release();
      expect(lease.toBytes()).toHaveLength(0);
    }
    expect(hashes(retained as Uint8Array[])).toEqual(hashes(frames));
    expect(backend.pool.outstanding).toBe(0);
  });

  it('a receiver that rests leaves the whole pool to others, and goes on with what comes back', () => {
    const { machine, frontend, backend } = linkedEnds({ back: { poolPages: 80 } });
    const burst = (first: number) => {
      for (let index = 0; index < 30; index += 1) frontend.link.send(numberedFrame(1514, first + index));
      frontend.link.flush();
      expect(machine.settle()).toBe(true);
    };
    burst(0);
    expect([backend.received.length, backend.pool.available]).toEqual([30, 80]);
    const others = Array.from({ length: 80 }, () => backend.pool.take());
    expect(others.includes(undefined)).toBe(false);
    burst(30);
    expect([backend.received.length, backend.counters.dropped.noBuffer]).toEqual([30, 30]);
    for (const page of others) page?.release();
    burst(60);
    const frames = Array.from({ length: 60 }, (_, index) =>
      numberedFrame(1514, index < 30 ? index : 30 + index),
    );
    expect(hashes(backend.received)).toEqual(hashes(frames));
    expect([backend.pool.outstanding, backend.failures.length]).toEqual([0, 0]);
  });

  it('nothing is left after both ends stopped with packets under way', () => {
    const { machine, frontend, backend } = linkedEnds();
    const before = frontend.domain.grants.published;
    for (let index = 0; index < 20; index += 1) frontend.link.send(numberedFrame(1514, index));
    frontend.link.flush();
    expect(frontend.link.unfinished).toBe(20);
    backend.link.stop();
    frontend.link.stop();
    machine.settle();
    expect(frontend.domain.grants.published).toBe(before);
    expect([frontend.pool.outstanding, backend.pool.outstanding]).toEqual([0, 0]);
    expect(frontend.link.send(numberedFrame(60, 1))).toBe(false);
    machine.scheduler.flush();
  });

  it('an idle link has no timers and sends no events', () => {
    const { machine, frontend, backend } = linkedEnds();
    frontend.link.send(numberedFrame(1514, 1));
    machine.settle();
    // The look for overdue packets that finds none is the last.
    machine.scheduler.maxFrames = 250;
    machine.scheduler.flush();
    machine.settle();
    const sent = frontend.domain.notifications + backend.domain.notifications;
    expect(machine.scheduler.actions).toHaveLength(0);
    machine.settle();
    expect(frontend.domain.notifications + backend.domain.notifications).toBe(sent);
  });
});

describe('limits of a link', () => {
  it('peer that takes one fragment: linearised, or dropped and counted', () => {
    const { machine, frontend, backend } = linkedEnds({
      back: { offer: { checksumOffload: true, tcpv4Segmentation: true, maxFragments: 1 } },
    });
    const fits = numberedFrame(4096 + 256, 1);
    expect(frontend.link.send(fits)).toBe(true);
    expect(frontend.link.send(numberedFrame(4096 + 257, 2))).toBe(true);
    const pieces = frontend.pool.allocateFrame(20);
    const page = pieces?.fragmentPage(0);
    if (pieces === undefined || page === undefined) throw new Error('no pages');
    for (let piece = 0; piece < 10; piece += 1) pieces.addFragment(page, 64 * piece, 64);
    expect(frontend.link.send(pieces)).toBe(true);
    machine.settle();
    expect(backend.received.map((frame) => frame.length)).toEqual([4096 + 256, 660]);
    expect(hashes(backend.received.slice(0, 1))).toEqual(hashes([fits]));
    expect(hashes(backend.received.slice(1))).toEqual(hashes([pieces.toBytes()]));
    expect(frontend.counters.dropped.sendFragments).toBe(1);
  });

  it.each([13, 65537])('a frame of %i bytes is dropped and counted', (length) => {
    const { frontend } = linkedEnds();
    expect(frontend.link.send(new Uint8Array(length))).toBe(true);
    expect(frontend.counters.dropped.sendLength).toBe(1);
  });

  it('a source address other than the allowed one is dropped and finished', () => {
    const onlySource = Uint8Array.of(0x00, 0x16, 0x3e, 0x00, 0x00, 0x01);
    const { machine, frontend, backend } = linkedEnds({ back: { onlySource } });
    const foreign = numberedFrame(1514, 1);
    foreign[11] = 9;
    frontend.link.send(foreign);
    frontend.link.send(numberedFrame(60, 2));
    machine.settle();
    expect(backend.received).toHaveLength(1);
    expect(backend.counters.dropped.sourceMac).toBe(1);
    expect(frontend.link.unfinished).toBe(0);
  });

  it('an empty receive pool drops, finishes and goes on', () => {
    const { machine, frontend, backend } = linkedEnds({ back: { poolPages: 2 } });
    const leases: { release(): void }[] = [];
    backend.frames.subscribe((frame) => {
      const lease = frame.retain();
      if (lease !== undefined) leases.push(lease);
    });
    for (let index = 0; index < 5; index += 1) frontend.link.send(numberedFrame(1514, index));
    machine.settle();
    expect(backend.counters.dropped.noBuffer).toBe(3);
    expect(frontend.link.unfinished).toBe(0);
    for (const lease of leases) lease.release();
    frontend.link.send(numberedFrame(1514, 9));
    machine.settle();
    expect(backend.counters.framesReceived).toBe(3);
  });
});

describe('offloads', () => {
  /** TCP over IPv4 with a blank checksum: the field holds the pseudo-header sum. */
  function blankTcp(length: number): { bytes: Uint8Array; complete: number } {
    const bytes = numberedFrame(length, 3);
    const ip = length - 14;
    bytes.set(
      [0x08, 0x00, 0x45, 0, ip >> 8, ip & 0xff, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2],
      12,
    );
    const sum = (from: number, to: number, initial: number) => {
      let total = initial;
      for (let at = from; at < to; at += 2)
        total += ((bytes[at] ?? 0) << 8) + (at + 1 < to ? (bytes[at + 1] ?? 0) : 0);
      while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
      return total;
    };
    const pseudo = sum(26, 34, 6 + ip - 20);
    bytes[50] = pseudo >> 8;
    bytes[51] = pseudo & 0xff;
    return { bytes, complete: ~sum(34, length, 0) & 0xffff };
  }

  it.each([60, 200, 1514, 9000, 5001])(
    '%i bytes: blank stays blank where the peer takes it, else is completed',
    (length) => {
      for (const checksumOffload of [true, false]) {
        const { machine, frontend, backend } = linkedEnds({
          back: { offer: { checksumOffload, tcpv4Segmentation: false, maxFragments: 18 } },
        });
        const seen: number[][] = [];
        backend.frames.subscribe((frame) => {
          seen.push([frame.checksum, frame.checksumStart, frame.checksumOffset, frame.uint16(50)]);
        });
        const { bytes, complete } = blankTcp(length);
        const frame = frontend.pool.frameFrom(bytes);
        if (frame === undefined) throw new Error('no pages');
        frame.checksum = FrameChecksum.blank;
        frontend.link.send(frame);
        machine.settle();
        const pseudo = ((bytes[50] ?? 0) << 8) | (bytes[51] ?? 0);
        expect(seen).toEqual(
          checksumOffload
            ? [[FrameChecksum.blank, 34, 16, pseudo]]
            : [[FrameChecksum.unknown, 0, 0, complete]],
        );
        expect(hashes([frame.toBytes()])).toEqual(hashes([bytes]));
      }
    },
  );

  function unsegmented(length: number): Uint8Array {
    const { bytes } = blankTcp(length);
    // A header without options.
    bytes[46] = 0x50;
    return bytes;
  }

  it('segmentation goes through where allowed', () => {
    const { machine, frontend, backend } = linkedEnds();
    const seen: number[][] = [];
    backend.frames.subscribe((frame) => seen.push([frame.segmentation, frame.segmentSize, frame.checksum]));
    const frame = frontend.pool.frameFrom(unsegmented(20000));
    if (frame === undefined) throw new Error('no pages');
    frame.checksum = FrameChecksum.blank;
    frame.segmentation = FrameSegmentation.tcpv4;
    frame.segmentSize = 1448;
    frontend.link.send(frame);
    machine.settle();
    expect(seen).toEqual([[FrameSegmentation.tcpv4, 1448, FrameChecksum.blank]]);
  });

  it.each([true, false])(
    'where it is not, segments are cut in software; checksums left to the peer: %s',
    (left) => {
      const { machine, frontend, backend } = linkedEnds({
        back: { offer: { checksumOffload: left, tcpv4Segmentation: false, maxFragments: 18 } },
      });
      const seen: FrameChecksum[] = [];
      backend.frames.subscribe((frame) => seen.push(frame.checksum));
      const whole = unsegmented(20000);
      const frame = frontend.pool.frameFrom(whole);
      if (frame === undefined) throw new Error('no pages');
      frame.checksum = FrameChecksum.blank;
      frame.segmentation = FrameSegmentation.tcpv4;
      frame.segmentSize = 1448;
      expect(frontend.link.send(frame)).toBe(true);
      frame.release();
      machine.settle();
      expect(backend.received).toHaveLength(14);
      expect(seen).toEqual(new Array(14).fill(left ? FrameChecksum.blank : FrameChecksum.unknown));
      const payload = backend.received.flatMap((segment) => [...segment.subarray(54)]);
      expect(Buffer.from(payload).equals(Buffer.from(whole.subarray(54)))).toBe(true);
      for (const segment of backend.received) {
        if (left) continue;
        let sum = 6 + segment.length - 34;
        for (let at = 26; at < segment.length; at += 2)
          sum += ((segment[at] ?? 0) << 8) + (at + 1 < segment.length ? (segment[at + 1] ?? 0) : 0);
        while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
        expect(sum).toBe(0xffff);
      }
      expect([frontend.link.unfinished, frontend.pool.outstanding]).toEqual([0, 0]);
    },
  );

  it('segments that can never go together are dropped, those that cannot now are refused', () => {
    const back = {
      offer: { checksumOffload: true, tcpv4Segmentation: false, maxFragments: 18, maxPackets: 16 },
    };
    const { machine, frontend, backend } = linkedEnds({ back });
    const send = (length: number) => {
      const frame = frontend.pool.frameFrom(unsegmented(length));
      if (frame === undefined) throw new Error('no pages');
      frame.segmentation = FrameSegmentation.tcpv4;
      frame.segmentSize = 1448;
      const taken = frontend.link.send(frame);
      frame.release();
      return taken;
    };
    expect(send(30000)).toBe(true);
    expect(frontend.counters.dropped.sendSegmentation).toBe(1);
    expect([send(15000), send(15000)]).toEqual([true, false]);
    machine.settle();
    expect(backend.received).toHaveLength(11);
    expect(send(15000)).toBe(true);
    machine.settle();
    expect(backend.received).toHaveLength(22);
  });

  it('validated is told', () => {
    const { machine, frontend, backend } = linkedEnds();
    const seen: number[] = [];
    backend.frames.subscribe((frame) => seen.push(frame.checksum));
    const frame = frontend.pool.frameFrom(numberedFrame(1514, 1));
    if (frame === undefined) throw new Error('no pages');
    frame.checksum = FrameChecksum.validated;
    frontend.link.send(frame);
    machine.settle();
    expect(seen).toEqual([FrameChecksum.validated]);
  });
});
