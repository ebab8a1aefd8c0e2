import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  FrontRing,
  GsoType,
  initialiseRing,
  RX_RING,
  RxFlag,
  RxSlotGroup,
  writeGsoExtra,
  writeRxResponse,
} from './index';

const { moreData, extraInfo, dataValidated, checksumBlank } = RxFlag;

type Slot = [flags: number, status: number, offset?: number] | 'gso' | 'bad extra';

const groupOf = (slots: readonly Slot[]) => {
  const words = new Int32Array(new SharedArrayBuffer(4096));
  initialiseRing(words, 0);
  const ring = new FrontRing(words, 0, RX_RING);
  ring.requestIndex = 256;
  ring.pushRequests();
  slots.forEach((slot, index) => {
    const at = ring.slot(index);
    if (slot === 'gso') writeGsoExtra(words, at, 1448, GsoType.tcpv4, 0);
    else if (slot === 'bad extra') words[at] = 9;
    else writeRxResponse(words, at, index, slot[2] ?? 0, slot[0], slot[1]);
  });
  words[2] = slots.length;
  const group = new RxSlotGroup();
  group.take(ring, ring.responses());
  return { group, ring };
};

it('vector 24: 10000 bytes with GSO in four slots', () => {
  const { group } = groupOf([[0x0f, 4096], 'gso', [moreData, 4096], [0, 1808]]);
  expect(group.fault).toBe('none');
  expect([group.total, group.dataCount, group.slotCount]).toEqual([10000, 3, 4]);
  expect([group.gsoSize, group.gsoType]).toEqual([1448, GsoType.tcpv4]);
  expect([...group.indices.subarray(0, 3)]).toEqual([0, 2, 3]);
  expect([...group.sizes.subarray(0, 3)]).toEqual([4096, 4096, 1808]);
  expect(group.flags & (dataValidated | checksumBlank)).toBe(3);
});

it.each<[string, Slot[], string, number]>([
  [
    '34: an error in the middle',
    [
      [moreData, 4096],
      [moreData, -1],
      [0, 100],
    ],
    'backend reported an error',
    3,
  ],
  ['beyond the page', [[0, 97, 4000]], 'data crosses the page border', 1],
  ['more slots than published', [[moreData, 4096]], 'slots missing', 1],
  ['extra missing', [[extraInfo, 100]], 'slots missing', 1],
  ['unknown extra', [[extraInfo, 100], 'bad extra'], 'extra info malformed', 2],
  [
    '20 data slots',
    [...Array.from({ length: 19 }, (): Slot => [moreData, 10]), [0, 10]],
    'packet too long',
    20,
  ],
  [
    '17 full slots',
    [...Array.from({ length: 16 }, (): Slot => [moreData, 4096]), [0, 10]],
    'packet too long',
    17,
  ],
])('vector %s', (_, slots, fault, consumed) => {
  const { group, ring } = groupOf(slots);
  expect(group.fault).toBe(fault);
  expect([group.slotCount, ring.responseIndex]).toEqual([consumed, consumed]);
});

it('takes at least one slot and never more than wait, whatever the responses hold', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff }), { minLength: 2, maxLength: 40 }),
      fc.integer({ min: 1, max: 256 }),
      (content, published) => {
        const words = new Int32Array(new SharedArrayBuffer(4096));
        initialiseRing(words, 0);
        for (let index = 0; index < 512; index++) words[16 + index] = content[index % content.length] ?? 0;
        const ring = new FrontRing(words, 0, RX_RING);
        ring.requestIndex = 256;
        ring.pushRequests();
        words[2] = published;
        const group = new RxSlotGroup();
        for (let left = ring.responses(); left > 0; left -= group.slotCount) {
          group.take(ring, left);
          expect(group.slotCount).toBeGreaterThan(0);
          expect(group.slotCount).toBeLessThanOrEqual(left);
          for (let index = 0; index < group.dataCount; index++)
            expect((group.offsets[index] ?? 0) + (group.sizes[index] ?? 0)).toBeLessThanOrEqual(4096);
        }
      },
    ),
  );
});
