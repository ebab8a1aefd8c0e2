/** Mutation tests of the checker: everything that can go wrong with frames is done to a sound run, and must be found. */
import type { FrameView } from '@netchannel2/xen';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { NumberedFrame } from './two-sides';
import { Verifier } from './verifier';

const frameOf = (length: number, seed: number): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => (index * 7 + seed * 31) & 0xff);

/** Frames number 1, 3, 5 … of a capture, all different. */
const numbered = (count: number): NumberedFrame[] =>
  Array.from({ length: count }, (_, index) => ({ number: 2 * index + 1, bytes: frameOf(60 + index, index) }));

function viewOf(bytes: Uint8Array): FrameView {
  return {
    byteLength: bytes.byteLength,
    uint8: (offset) => bytes[offset] ?? 0,
    uint16: () => 0,
    uint32: () => 0,
    copyTo(target, targetOffset = 0, start = 0, length = bytes.byteLength) {
      const piece = bytes.subarray(start, start + length);
      target.set(piece, targetOffset);
      return piece.byteLength;
    },
    toBytes: () => bytes.slice(),
  };
}

interface Verdict {
  readonly received: number;
  readonly mismatches: number;
  readonly first: string | undefined;
}

function verify(sent: readonly NumberedFrame[], rounds: number, arrivals: readonly Uint8Array[]): Verdict {
  const verifier = new Verifier('there', sent, rounds);
  for (const bytes of arrivals) verifier.arrived(viewOf(bytes));
  verifier.finish();
  return { received: verifier.received, mismatches: verifier.mismatches, first: verifier.firstMismatch };
}

describe('Verifier', () => {
  const sent = numbered(5);
  const sound = sent.map(({ bytes }) => bytes);
  const at = (index: number): Uint8Array => sound[index] ?? new Uint8Array(0);
  const changed = (bytes: Uint8Array, offset: number) => bytes.with(offset, (bytes[offset] ?? 0) ^ 1);

  it('finds nothing wrong with what was sent, in any number of rounds', () => {
    expect(verify(sent, 1, sound)).toEqual({ received: 5, mismatches: 0, first: undefined });
    expect(verify(sent, 3, [...sound, ...sound, ...sound]).mismatches).toBe(0);
  });

  it('knows when all have arrived', () => {
    const verifier = new Verifier('there', sent, 1);
    for (const bytes of sound.slice(1)) verifier.arrived(viewOf(bytes));
    expect(verifier.complete).toBe(true);
    expect(verifier.mismatches).toBe(1);
  });

  it.each<[string, Uint8Array[], number, string]>([
    [
      'a lost frame',
      sound.filter((_, index) => index !== 1),
      1,
      'frame 3 of the capture (61 bytes, round 1, there) is missing before frame 5',
    ],
    [
      'the first frame lost',
      sound.slice(1),
      1,
      'frame 1 of the capture (60 bytes, round 1, there) is missing',
    ],
    [
      'the last frame lost',
      sound.slice(0, 4),
      1,
      'frame 9 of the capture (64 bytes, round 1, there) never arrived',
    ],
    ['all frames lost', [], 5, 'frame 1 of the capture (60 bytes, round 1, there) never arrived'],
    ['a frame twice in a row', [at(0), at(1), at(1), at(2), at(3), at(4)], 1, 'frame 3 of the capture'],
    ['a frame again much later', [...sound.slice(0, 4), at(0), at(4)], 1, 'arrived again or too late'],
    [
      'the last frame twice',
      [...sound, at(4)],
      1,
      'frame 9 of the capture (64 bytes, round 1, there) arrived again',
    ],
    ['two frames swapped', [at(0), at(2), at(1), at(3), at(4)], 2, 'frame 3 of the capture'],
    [
      'a changed byte',
      [at(0), changed(at(1), 40), ...sound.slice(2)],
      1,
      'frame 3 of the capture (61 bytes, round 1, there): byte 40 of 61 is 0x36, was sent as 0x37',
    ],
    ['a frame cut short', [at(0).subarray(0, 59), ...sound.slice(1)], 1, 'has 59 bytes, was sent with 60'],
    [
      'a frame too long',
      [Uint8Array.of(...at(0), 0), ...sound.slice(1)],
      1,
      'has 61 bytes, was sent with 60',
    ],
    [
      'a frame nobody sent, at the end',
      [...sound, frameOf(99, 9)],
      1,
      'a frame of 99 bytes arrived after the last',
    ],
    ['an empty frame', [new Uint8Array(0), ...sound.slice(1)], 1, 'has 0 bytes, was sent with 60'],
  ])('finds %s', (_, arrivals, mismatches, message) => {
    const verdict = verify(sent, 1, arrivals);
    expect(verdict.mismatches).toBe(mismatches);
    expect(verdict.first).toContain(message);
    expect(verdict.received).toBe(arrivals.length);
  });

  it('names the round', () => {
    expect(verify(sent, 3, [...sound, ...sound.slice(1), ...sound]).first).toContain(
      '(60 bytes, round 2, there)',
    );
  });

  it('whatever is done to a sound run is noticed', () => {
    const many = numbered(40);
    const original = many.map(({ bytes }) => bytes);
    type Mutation = (frames: Uint8Array[], at: number) => void;
    const mutations: Mutation[] = [
      (frames, index) => void frames.splice(index, 1),
      (frames, index) => void frames.splice(index, 0, frames[index] ?? frameOf(1, 1)),
      (frames, index) => {
        const next = (index + 1) % frames.length;
        const kept = frames[index] ?? frameOf(1, 1);
        frames[index] = frames[next] ?? frameOf(1, 1);
        frames[next] = kept;
      },
      (frames, index) => {
        frames[index] = changed(frames[index] ?? frameOf(1, 1), index);
      },
      (frames, index) => {
        frames[index] = (frames[index] ?? frameOf(1, 1)).subarray(1);
      },
      (frames, index) => void frames.splice(index, 0, frameOf(33, 77)),
    ];
    fc.assert(
      fc.property(fc.constantFrom(...mutations), fc.nat(39), (mutate, index) => {
        const arrivals = [...original];
        mutate(arrivals, index);
        const { mismatches, first } = verify(many, 1, arrivals);
        expect(mismatches).toBeGreaterThan(0);
        expect(first).toBeDefined();
      }),
      { numRuns: 300 },
    );
  });
});
