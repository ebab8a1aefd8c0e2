import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CONS,
  CONS_EVENT,
  freshControlPageFault,
  PROD,
  RING_A,
  RING_B,
  ringStructWord,
} from './control-page';
import { crossesEvent } from './event-threshold';
import { answerReserve, writeSetMaxPackets } from './flow-control';
import { writeSetMaxFragments, writeSetOffload } from './limits';
import { messageHeader } from './message-header';
import { writePacket } from './packet-record';
import { bytesFromHex, freshRing, hexOf, messageBytes } from './ring-memory.fixture';
import { bytesNeeded, bytesToEnd, wouldWrap } from './ring-space';
import { RING_EMPTY, RING_FAULT, UringConsumer } from './uring-consumer';
import { NO_SPACE, UringProducer } from './uring-producer';

const R = 4096;

describe('ring space, spec §10.2', () => {
  const rows = [
    { row: 1, prod: 0x40, cons: 0, n: 32, wraps: false, pad: 0, need: 32, space: 4032, after: 0x60 },
    { row: 2, prod: 0xfe0, cons: 0xfa0, n: 32, wraps: true, pad: 32, need: 64, space: 4032, after: 0x1020 },
    { row: 3, prod: 0xff0, cons: 0xfa0, n: 32, wraps: true, pad: 16, need: 48, space: 4016, after: 0x1020 },
    { row: 4, prod: 0xff8, cons: 0xff8, n: 8, wraps: true, pad: 8, need: 16, space: 4096, after: 0x1008 },
    { row: 5, prod: 0xff8, cons: 8, n: 8, wraps: true, pad: 8, need: 16, space: 16, after: 0x1008 },
    { row: 6, prod: 0xff8, cons: 0, n: 16, wraps: true, pad: 8, need: 24, space: 8, after: undefined },
    { row: 7, prod: 0x1000, cons: 0, n: 8, wraps: false, pad: 0, need: 8, space: 0, after: undefined },
    {
      row: 8,
      prod: 0xfffffff0,
      cons: 0xffffffc0,
      n: 32,
      wraps: true,
      pad: 16,
      need: 48,
      space: 4048,
      after: 0x20,
    },
    {
      row: 9,
      prod: 0xfffffff0,
      cons: 0xffffffc0,
      n: 8,
      wraps: false,
      pad: 0,
      need: 8,
      space: 4048,
      after: 0xfffffff8,
    },
  ];

  it.each(rows)('row $row: arithmetic', ({ prod, cons, n, wraps, pad, need, space }) => {
    expect(wouldWrap(prod, n, R)).toBe(wraps);
    if (wraps) expect(bytesToEnd(prod, R)).toBe(pad);
    expect(bytesNeeded(prod, n, R)).toBe(need);
    expect(R - ((prod - cons) >>> 0)).toBe(space);
  });

  it.each(rows)('row $row: producer', ({ prod, cons, n, pad, after }) => {
    const { control, payload } = freshRing(R);
    const first = ringStructWord(control, RING_A);
    control.words[first + CONS] = cons;
    const producer = new UringProducer(control, RING_A, payload, cons);
    producer.commit((prod - cons) >>> 0);
    producer.publish();
    const at = producer.claim(n, 0);
    if (after === undefined) {
      expect(at).toBe(NO_SPACE);
      expect(control.words[first + CONS_EVENT]).toBe(cons + 1);
      return;
    }
    expect(at).toBe((payload.base + (pad > 0 ? 0 : prod % R)) / 4);
    if (pad > 0) expect(payload.words[(payload.base + (prod % R)) / 4]).toBe(messageHeader(255, 0, pad));
    producer.commit(n);
    expect(producer.producedIndex).toBe(after);
  });

  it('row 10: half a ring of raw arithmetic', () => {
    expect([wouldWrap(0x800, 2048, R), bytesToEnd(0x800, R), bytesNeeded(0x800, 2048, R)]).toEqual([
      true,
      2048,
      4096,
    ]);
  });
  it('row 11: more than half a ring never fits', () => {
    expect(bytesNeeded(8, 4088, R)).toBe(8176);
  });
  it('row 12: more than a quarter is refused by the size rule', () => {
    const { control, payload } = freshRing(R);
    expect(() => new UringProducer(control, RING_A, payload).claim(1032, 0)).toThrow(RangeError);
  });
});

describe('event test, spec §10.3', () => {
  it.each([
    [1, 0, 0x60, 0, false],
    [2, 0, 0x60, 1, true],
    [3, 0x60, 0x68, 0x61, true],
    [4, 0x60, 0x68, 0x68, true],
    [5, 0x60, 0x68, 0x60, false],
    [6, 0x60, 0x68, 0x69, false],
    [7, 0x60, 0x190, 0xc8, true],
    [8, 0xfffffff8, 0x10, 0xfffffff9, true],
    [9, 0xfffffff8, 0x10, 0, true],
    [10, 0x1000, 0x1040, 0x61, false],
    [11, 0x60, 0x60, 0x61, false],
  ])('row %i: %i → %i with event %i', (_, old, moved, event, notify) => {
    expect(crossesEvent(old, moved, event)).toBe(notify);
    expect(crossesEvent(old | 0, moved | 0, event | 0)).toBe(notify);
  });
});

describe('byte layout, spec §10.1', () => {
  it('20 wrap: PAD and a small packet at 0', () => {
    const { control, payload } = freshRing(R);
    control.words[ringStructWord(control, RING_A) + CONS] = 0xfe8;
    const producer = new UringProducer(control, RING_A, payload, 0xfe8);
    const at = producer.claim(40, 0);
    const size = writePacket(payload.words, at, {
      id: 0x2b,
      type: 4,
      flags: 0,
      segmentation: 0,
      mss: 0,
      csumStart: 0,
      csumOffset: 0,
      fragments: [],
      prefix: bytesFromHex('00 16 3e 00 00 02 00 16 3e 00 00 01 88 b5 de ad be ef'),
    });
    producer.commit(size);
    expect(size).toBe(40);
    expect(hexOf(messageBytes(payload.words, (payload.base + 0xfe8) / 4, 4))).toBe('ff 00 18 00');
    expect(hexOf(messageBytes(payload.words, payload.base / 4, 40))).toBe(
      '02 00 28 00 2b 00 00 00 04 00 00 00 12 00 00 00 00 00 00 00 00 16 3e 00 00 02 00 16 3e 00 00 01 88 b5 de ad be ef 00 00',
    );
    expect(producer.producedIndex).toBe(0x1028);
  });

  it('21 control page: fresh, and after both bursts with one consumed', () => {
    const a = freshRing(R);
    const b = freshRing(R);
    const { control } = a;
    const structs = () =>
      ([RING_A, RING_B] as const).map((struct) =>
        hexOf(messageBytes(control.words, ringStructWord(control, struct), 16)),
      );
    const fresh = '00 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00';
    expect(structs()).toEqual([fresh, fresh]);
    const burst = (producer: UringProducer) => {
      writeSetMaxPackets(producer.words, producer.claim(8, 0), 128);
      producer.commit(8);
      writeSetMaxFragments(producer.words, producer.claim(8, 0), 18);
      producer.commit(8);
      writeSetOffload(producer.words, producer.claim(8, 0), true, true);
      producer.commit(8);
      return producer.publish();
    };
    expect(freshControlPageFault(control, R)).toBeUndefined();
    expect(burst(new UringProducer(control, RING_A, a.payload))).toBe(true);
    expect(freshControlPageFault(control, R)).toBeUndefined();
    expect(burst(new UringProducer(control, RING_B, b.payload))).toBe(true);
    expect(freshControlPageFault(control, R)).toBeTypeOf('string');
    const consumer = new UringConsumer(control, RING_A, a.payload);
    expect(consumer.begin()).toBe(true);
    expect([consumer.next(), consumer.next(), consumer.next(), consumer.next()]).toEqual([
      1,
      5,
      4,
      RING_EMPTY,
    ]);
    expect(consumer.publish()).toBe(false);
    expect(consumer.arm()).toBe(false);
    expect(structs()).toEqual([
      '18 00 00 00 18 00 00 00 19 00 00 00 00 00 00 00',
      '18 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00',
    ]);
  });
});

describe('hostile rings, spec §10.4', () => {
  const consumerAt = (offset: number, header: number, available: number) => {
    const { control, payload } = freshRing(R);
    payload.words[(payload.base + (offset % R)) / 4] = header;
    control.words[ringStructWord(control, RING_A) + PROD] = offset + available;
    return new UringConsumer(control, RING_A, payload, offset);
  };
  it.each([
    ['1 size 12', 0, messageHeader(3, 0, 12), 64],
    ['1 size 4', 0, messageHeader(3, 0, 4), 64],
    ['1 size 0', 0, messageHeader(3, 0, 0), 64],
    ['2 size 16 with 8 available', 0, messageHeader(3, 0, 16), 8],
    ['3 across the end', R - 16, messageHeader(3, 0, 24), 64],
    ['17 PAD of 16 at 64', 64, messageHeader(255, 0, 16), 64],
    ['PAD across the end', R - 16, messageHeader(255, 0, 24), 64],
    ['PAD of 0', R - 16, messageHeader(255, 0, 0), 64],
    ['more than a quarter', 0, messageHeader(2, 0, R / 4 + 8), R],
  ])('#%s is fatal', (_, offset, header, available) => {
    const consumer = consumerAt(offset, header, available);
    expect(consumer.begin()).toBe(true);
    expect(consumer.next()).toBe(RING_FAULT);
    expect(consumer.fault).toBeTypeOf('string');
  });
  it('#4 a message ending exactly at R is accepted', () => {
    const consumer = consumerAt(R - 16, messageHeader(3, 0, 16), 16);
    expect(consumer.begin()).toBe(true);
    expect([consumer.next(), consumer.next()]).toEqual([3, RING_EMPTY]);
  });
  it.each([
    ['5 prod jumps by R + 8', R + 8],
    ['prod not a multiple of 8', 12],
    ['prod behind cons', -8],
  ])('#%s is fatal', (_, available) => {
    expect(consumerAt(64, 0, available).begin()).toBe(false);
  });
  it('#11 the copy keeps the header that was checked', () => {
    const consumer = consumerAt(0, messageHeader(3, 0, 8), 8);
    consumer.begin();
    expect(consumer.next()).toBe(3);
    consumer.words[consumer.messageWord] = messageHeader(2, 0, 4000);
    const copy = new Int32Array(2);
    consumer.copyTo(copy, 2);
    expect(copy[0]).toBe(messageHeader(3, 0, 8));
  });
  it('#25 the reserve holds PACKETs back, not FINISHes', () => {
    const { control, payload } = freshRing(R);
    const producer = new UringProducer(control, RING_A, payload);
    producer.commit(R - 1100 - 4);
    producer.publish();
    const keep = answerReserve(128);
    expect(keep).toBe(1096);
    expect(producer.claim(160, keep)).toBe(NO_SPACE);
    expect(producer.claim(8, 0)).not.toBe(NO_SPACE);
  });
  it.each([
    ['ahead of what was shown', 72],
    ['behind what was seen', 16],
    ['far away', 0x80000000],
  ])('a consumer index %s breaks the producer', (_, cons) => {
    const { control, payload } = freshRing(R);
    const word = ringStructWord(control, RING_A) + CONS;
    const producer = new UringProducer(control, RING_A, payload);
    producer.commit(64);
    producer.publish();
    control.words[word] = 32;
    expect(producer.drained()).toBe(false);
    expect(producer.broken).toBe(false);
    control.words[word] = cons;
    expect(producer.drained()).toBe(false);
    expect(producer.broken).toBe(true);
  });
});

describe('streams of messages', () => {
  it('messages written side by side in the adjacent room lie where single claims would put them', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0x1fffffff }), fc.nat(R / 8), (startWord, before) => {
        const start = (startWord * 8) | 0;
        const { control, payload } = freshRing(R);
        control.words.fill(start, ringStructWord(control, RING_A), ringStructWord(control, RING_A) + 2);
        const producer = new UringProducer(control, RING_A, payload, start);
        for (let count = 0; count < before && producer.claim(8, 0) !== NO_SPACE; count++) producer.commit(8);
        const room = producer.adjacentRoom(8);
        for (let count = 0; count < room; count++) {
          const expected = producer.nextWord;
          expect(producer.claim(8, 0)).toBe(expected);
          producer.commit(8);
        }
        // One more wraps, or finds no room.
        const next = producer.nextWord;
        expect(producer.claim(8, 0)).not.toBe(next);
      }),
      { numRuns: 300 },
    );
  });

  it('room side by side is never less than none, also where answers took what was kept', () => {
    const { control, payload } = freshRing(R);
    const producer = new UringProducer(control, RING_A, payload);
    producer.commit(3000);
    expect(producer.adjacentBytes(512)).toBe(R - 3000 - 512);
    producer.commit(800);
    expect(producer.adjacentBytes(512)).toBe(0);
    expect(producer.adjacentBytes(0)).toBe(R - 3800 - 1);
  });

  it('every size at every offset arrives whole, for every ring order', () => {
    for (let order = 0; order <= 4; order++) {
      const ringBytes = R << order;
      const step = order < 2 ? 8 : 8 * 13;
      const { control, payload } = freshRing(ringBytes);
      for (let size = 8; size <= ringBytes / 4; size += step * 3) {
        for (let offset = ringBytes - size - 16; offset < ringBytes; offset += step) {
          const start = offset - ringBytes;
          control.words.fill(start, ringStructWord(control, RING_A), ringStructWord(control, RING_A) + 4);
          const producer = new UringProducer(control, RING_A, payload, start);
          const at = producer.claim(size, 0);
          const inside = 4 * at - payload.base;
          if (inside < 0 || inside + size > ringBytes)
            expect.fail(`${size} at ${offset}: placed at ${inside}`);
          producer.words[at] = messageHeader(2, 0, size);
          producer.words[at + size / 4 - 1] = messageHeader(2, 0, size) ^ (size === 8 ? offset : 0);
          producer.commit(size);
          producer.publish();
          const consumer = new UringConsumer(control, RING_A, payload, start);
          if (!consumer.begin() || consumer.next() !== 2) expect.fail(`${size} at ${offset}: not found`);
          if (consumer.messageOffset !== inside || consumer.next() !== RING_EMPTY)
            expect.fail(`${size} at ${offset}`);
        }
      }
    }
  });

  it('what goes in comes out, in order, from any starting index', () => {
    const operation = fc.oneof(
      fc.record({ kind: fc.constant('send' as const), words: fc.integer({ min: 1, max: 128 }) }),
      fc.record({ kind: fc.constant('flush' as const), words: fc.constant(0) }),
      fc.record({ kind: fc.constant('take' as const), words: fc.integer({ min: 1, max: 20 }) }),
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 0x1fffffff }),
        fc.integer({ min: 0, max: 2 }),
        fc.array(operation, { maxLength: 200 }),
        (startWord, order, operations) => {
          const ringBytes = R << order;
          const start = (startWord * 8) | 0;
          const { control, payload } = freshRing(ringBytes);
          control.words.fill(start, ringStructWord(control, RING_A), ringStructWord(control, RING_A) + 2);
          const producer = new UringProducer(control, RING_A, payload, start);
          const consumer = new UringConsumer(control, RING_A, payload, start);
          const sent: number[] = [];
          const taken: number[] = [];
          const message = new Int32Array(ringBytes / 16);
          const take = (most: number) => {
            expect(consumer.begin()).toBe(true);
            for (let count = 0; count < most; count++) {
              const type = consumer.next();
              if (type === RING_EMPTY) break;
              expect(type).toBe(2);
              const words = consumer.header >>> 18;
              consumer.copyTo(message, words);
              for (let word = 1; word < words; word++) expect(message[word]).toBe(taken.length ^ word);
              taken.push(words);
            }
            consumer.publish();
          };
          let sequence = 0;
          for (const { kind, words: half } of operations) {
            if (kind === 'flush') producer.publish();
            else if (kind === 'take') take(half);
            else {
              const at = producer.claim(half * 8, 0);
              if (at === NO_SPACE) continue;
              producer.words[at] = messageHeader(2, 0, half * 8);
              for (let word = 1; word < half * 2; word++) producer.words[at + word] = sequence ^ word;
              producer.commit(half * 8);
              sent.push(half * 2);
              sequence++;
            }
          }
          producer.publish();
          take(1000);
          expect(taken).toEqual(sent);
          expect(producer.drained()).toBe(true);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('any bytes in ring and index end in a fault or in bounds, never in a hang', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 64, maxLength: 512 }), fc.nat(1024), (noise, produced) => {
        const { control, payload } = freshRing(R);
        for (let index = 0; index < R; index++)
          payload.bytes[payload.base + index] = noise[index % noise.length] ?? 0;
        control.words[ringStructWord(control, RING_A) + PROD] = produced;
        const consumer = new UringConsumer(control, RING_A, payload);
        if (!consumer.begin()) return;
        for (let steps = 0; steps < R; steps++) {
          const type = consumer.next();
          if (type < 0) return;
          expect(consumer.messageOffset + (consumer.header >>> 16)).toBeLessThanOrEqual(R);
        }
        expect.fail('no end');
      }),
      { numRuns: 200 },
    );
  });
});
