import { describe, expect, it } from 'vitest';
import { frameDifference, sequenceDifference } from './frame-difference';
import { FRAME_SIZES_AT_LIMITS, frameNumber, frameSequence } from './frame-sequence';
import { SeededRandom } from './seeded-random';

describe('frameSequence', () => {
  it('is the same for the same seed and another for another', () => {
    const first = [...frameSequence(7, { count: 20 })];
    expect([...frameSequence(7, { count: 20 })]).toEqual(first);
    expect([...frameSequence(8, { count: 20 })]).not.toEqual(first);
  });

  it('keeps to the sizes and numbers the frames', () => {
    const frames = [...frameSequence(1, { count: 200, sizes: { low: 14, high: 40 } })];
    expect(Math.min(...frames.map((frame) => frame.byteLength))).toBe(14);
    expect(Math.max(...frames.map((frame) => frame.byteLength))).toBe(40);
    for (const [index, frame] of frames.entries()) {
      expect(frameNumber(frame)).toBe(frame.byteLength < 18 ? undefined : index);
    }
  });

  it('goes on for ever without a count', () => {
    const endless = frameSequence(1, { sizes: [...FRAME_SIZES_AT_LIMITS] });
    for (let taken = 0; taken < 100; taken += 1) expect(endless.next().done).toBe(false);
  });

  it('refuses frames too short for a header', () => {
    expect(() => frameSequence(1, { sizes: [13] }).next()).toThrow('at least 14 bytes, not 13');
  });
});

describe('SeededRandom', () => {
  it('stays in its range and reaches both ends', () => {
    const random = new SeededRandom(3);
    const values = Array.from({ length: 500 }, () => random.integer(-2, 2));
    expect([...new Set(values)].sort((a, b) => a - b)).toEqual([-2, -1, 0, 1, 2]);
  });
});

describe('differences', () => {
  const sent = [Uint8Array.of(1, 2), Uint8Array.of(3, 4)];

  it.each([
    ['nothing', sent, undefined],
    ['a lost frame', sent.slice(0, 1), 'frame 1 of 2 never arrived'],
    ['a wrong byte', [sent[0], Uint8Array.of(3, 5)], 'frame 1 of 2: byte 1 of 2 is 0x05, was sent as 0x04'],
    ['a short frame', [sent[0], Uint8Array.of(3)], 'frame 1 of 2: has 1 bytes, was sent with 2'],
    ['a duplicate', [...sent, sent[1]], '1 more frames arrived than the 2 sent'],
  ])('names %s', (_, received, expected) => {
    expect(sequenceDifference(sent, received as Uint8Array[])).toBe(expected);
  });

  it('finds none in equal frames', () => {
    expect(frameDifference(Uint8Array.of(1), Uint8Array.of(1))).toBeUndefined();
  });
});
