import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  answerFirstSlot,
  answerSlot,
  BackRing,
  ExtraType,
  FrontRing,
  GsoType,
  initialiseRing,
  TX_RING,
  TxFlag,
  TxSlotGroup,
  TxStatus,
  TxVerdict,
  txResponseId,
  txResponseStatus,
  writeGsoExtra,
  writeMulticastExtra,
  writeTxRequest,
} from './index';

const { moreData, extraInfo, checksumBlank, dataValidated } = TxFlag;

/** A slot as a frontend writes it: `[total or size, flags, offset]` or an extra's two words. */
type Slot =
  | { size: number; flags?: number; offset?: number; id?: number }
  | { extra: number; more?: boolean; segment?: number; kind?: number };

const groupOf = (slots: readonly Slot[], hidden = 0) => {
  const words = new Int32Array(new SharedArrayBuffer(4096));
  initialiseRing(words, 0);
  const front = new FrontRing(words, 0, TX_RING);
  slots.forEach((slot, index) => {
    const at = front.slot(index);
    if ('size' in slot)
      writeTxRequest(words, at, 100 + index, slot.offset ?? 0, slot.flags ?? 0, slot.id ?? index, slot.size);
    else if (slot.extra === ExtraType.gso)
      writeGsoExtra(words, at, slot.segment ?? 1448, slot.kind ?? GsoType.tcpv4, slot.more ? 1 : 0);
    else if (slot.extra === ExtraType.multicastAdd)
      writeMulticastExtra(words, at, ExtraType.multicastAdd, 0x01005e0000fb, slot.more ? 1 : 0);
    else words[at] = slot.extra | (slot.more ? 1 << 8 : 0);
  });
  front.requestIndex = slots.length - hidden;
  front.pushRequests();
  const ring = new BackRing(words, 0, TX_RING);
  ring.requests();
  const group = new TxSlotGroup();
  group.begin(ring);
  expect(ring.requestIndex, 'begin consumes nothing').toBe(0);
  const verdict = group.finish(ring);
  return { group, verdict, ring, words };
};

const fragments = (count: number, size = 100): Slot[] =>
  Array.from({ length: count }, (_, index) => ({ size, flags: index < count - 1 ? moreData : 0 }));

describe('slot groups (vif.md §13)', () => {
  it('vector 20: three slots with GSO, and their responses', () => {
    const { group, verdict, ring, words } = groupOf([
      { size: 6000, flags: 0x0f, id: 6 },
      { extra: ExtraType.gso },
      { size: 3000, id: 8 },
    ]);
    expect(verdict).toBe(TxVerdict.packet);
    expect([group.dataCount, group.extraCount, group.gsoSize, group.gsoType]).toEqual([2, 1, 1448, 1]);
    expect([...group.sizes.subarray(0, 2)]).toEqual([3000, 3000]);
    expect([...group.grefs.subarray(0, 2)]).toEqual([100, 102]);
    answerFirstSlot(ring, group.ids[0] ?? 0, TxStatus.okay, group.extraCount);
    answerSlot(ring, group.ids[1] ?? 0, TxStatus.okay);
    const answers = [0, 1, 2].map((index) => words[ring.slot(index)] ?? 0);
    expect(answers.map(txResponseStatus)).toEqual([TxStatus.okay, TxStatus.none, TxStatus.okay]);
    expect([answers[0], answers[2]].map((word) => txResponseId(word ?? 0))).toEqual([6, 8]);
    expect([ring.responseIndex, ring.requestIndex]).toEqual([3, 3]);
  });

  it.each<[string, Slot[], number, TxVerdict, string]>([
    [
      '21',
      [{ size: 100, flags: moreData }, { size: 200 }],
      0,
      TxVerdict.dropped,
      'fragments exceed the packet length',
    ],
    [
      '22',
      [{ size: 60, flags: moreData }, { size: 50 }],
      0,
      TxVerdict.dropped,
      'first fragment shorter than an Ethernet header',
    ],
    ['23', [{ size: 100, flags: moreData }, { size: 50 }], 1, TxVerdict.fatal, 'incomplete packet'],
    ['25', [{ size: 4000, flags: moreData }, ...fragments(18)], 0, TxVerdict.packet, 'none'],
    ['26a', [{ size: 4000, flags: moreData }, ...fragments(19)], 0, TxVerdict.dropped, 'too many fragments'],
    ['26b', [{ size: 4000, flags: moreData }, ...fragments(20)], 0, TxVerdict.dropped, 'too many fragments'],
    ['27', [{ size: 4000, flags: moreData }, ...fragments(21)], 0, TxVerdict.fatal, 'too many fragments'],
    ['28a', [{ size: 100, flags: extraInfo }, { extra: 0 }], 0, TxVerdict.fatal, 'unknown extra info type'],
    ['28b', [{ size: 100, flags: extraInfo }, { extra: 6 }], 0, TxVerdict.fatal, 'unknown extra info type'],
    [
      '28c',
      [
        { size: 100, flags: extraInfo },
        { extra: ExtraType.gso, more: true },
      ],
      0,
      TxVerdict.fatal,
      'extra info missing',
    ],
    [
      '29',
      [
        { size: 1000, flags: moreData },
        { size: 97, offset: 4000 },
      ],
      0,
      TxVerdict.fatal,
      'data crosses the page border',
    ],
    ['30', [{ size: 14, offset: 4090 }], 0, TxVerdict.fatal, 'data crosses the page border'],
    [
      '31a',
      [
        { size: 100, flags: extraInfo },
        { extra: ExtraType.gso, segment: 0 },
      ],
      0,
      TxVerdict.fatal,
      'segment size 0 or unknown segmentation type',
    ],
    [
      '31b',
      [
        { size: 100, flags: extraInfo },
        { extra: ExtraType.gso, kind: 3 },
      ],
      0,
      TxVerdict.fatal,
      'segment size 0 or unknown segmentation type',
    ],
    ['plain', [{ size: 60, flags: checksumBlank | dataValidated }], 0, TxVerdict.packet, 'none'],
    ['zero-size fragment', [{ size: 60, flags: moreData }, { size: 0 }], 0, TxVerdict.packet, 'none'],
  ])('vector %s', (_, slots, hidden, verdict, fault) => {
    const outcome = groupOf(slots, hidden);
    expect(outcome.verdict).toBe(verdict);
    expect(outcome.group.fault).toBe(fault);
    if (verdict === TxVerdict.dropped) {
      expect(outcome.group.dataCount, 'every slot is to be answered').toBe(slots.length);
      expect(outcome.ring.requestIndex).toBe(slots.length);
    }
  });

  it('vector 32: the shape of a multicast request', () => {
    const { group, verdict } = groupOf([
      { size: 0, flags: extraInfo, id: 9 },
      { extra: ExtraType.multicastAdd },
    ]);
    expect(verdict).toBe(TxVerdict.multicast);
    expect([group.ids[0], group.extraCount, group.multicastType]).toEqual([9, 1, ExtraType.multicastAdd]);
  });

  it('judges the copy: later changes of the slot do not matter', () => {
    const words = new Int32Array(new SharedArrayBuffer(4096));
    initialiseRing(words, 0);
    writeTxRequest(words, 16, 5, 0, 0, 1, 60);
    words[0] = 1;
    const ring = new BackRing(words, 0, TX_RING);
    ring.requests();
    const group = new TxSlotGroup();
    group.begin(ring);
    writeTxRequest(words, 16, 6, 4000, TxFlag.moreData, 2, 4000);
    expect(group.finish(ring)).toBe(TxVerdict.packet);
    expect([group.grefs[0], group.sizes[0], group.ids[0]]).toEqual([5, 60, 1]);
  });
});

it('never throws or reaches outside a page or past the published requests, whatever the ring holds', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff }), { minLength: 3, maxLength: 90 }),
      fc.integer({ min: 1, max: 256 }),
      (content, published) => {
        const words = new Int32Array(new SharedArrayBuffer(4096));
        initialiseRing(words, 0);
        for (let index = 0; index < 768; index++) {
          // Small numbers make valid slots likely enough to get deep into the group.
          const word = content[index % content.length] ?? 0;
          words[16 + index] = index % 3 === 0 ? word : word & 0x0fff_0fff;
        }
        words[0] = published;
        const ring = new BackRing(words, 0, TX_RING);
        ring.requests();
        const group = new TxSlotGroup();
        while (ring.unconsumed > 0) {
          group.begin(ring);
          const verdict = group.finish(ring);
          expect(ring.requestIndex).toBeLessThanOrEqual(published);
          expect(group.dataCount).toBeLessThanOrEqual(21);
          if (verdict === TxVerdict.fatal) {
            expect(group.fault).not.toBe('none');
            return;
          }
          if (verdict !== TxVerdict.packet) continue;
          let total = 0;
          for (let index = 0; index < group.dataCount; index++) {
            const size = group.sizes[index] ?? 0;
            expect((group.offsets[index] ?? 0) + size).toBeLessThanOrEqual(4096);
            total += size;
          }
          expect(total).toBe(group.total);
        }
      },
    ),
  );
});
