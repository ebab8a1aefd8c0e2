import type { Capture } from '@netchannel2/bridge';
import { describe, expect, it } from 'vitest';
import { splitSides } from './two-sides';

const A = '02:00:00:00:00:0a';
const B = '02:00:00:00:00:0b';
const C = '02:00:00:00:00:0c';
const BROADCAST = 'ff:ff:ff:ff:ff:ff';

/** A capture of frames `[target, source]`. */
function captureOf(...frames: readonly (readonly [target: string, source: string])[]): Capture {
  const bytes = (mac: string) => mac.split(':').map((part) => Number.parseInt(part, 16));
  return {
    file: 'test.pcap',
    format: 'pcap',
    byteLength: frames.length * 14,
    frames: frames.map(([target, source]) => ({
      bytes: Uint8Array.of(...bytes(target), ...bytes(source), 8, 0),
      timestamp: 0n,
    })),
  };
}

const numbers = (capture: Capture) => {
  const { guest1, guest2 } = splitSides(capture);
  return [guest1, guest2].map(({ macs, frames }) => [macs, frames.map((frame) => frame.number)]);
};

describe('splitSides', () => {
  it('of two equal hosts the one that speaks first is guest 1', () => {
    expect(numbers(captureOf([BROADCAST, B], [B, A], [A, B], [B, A]))).toEqual([
      [[B], [1, 3]],
      [[A], [2, 4]],
    ]);
  });

  it('the busiest host is guest 1, all others are behind guest 2, the most talkative first', () => {
    expect(numbers(captureOf([B, A], [A, C], [A, B], [C, A], [A, B]))).toEqual([
      [[A], [1, 4]],
      [
        [B, C],
        [2, 3, 5],
      ],
    ]);
  });

  it.each([
    ['one side only', captureOf([B, A], [BROADCAST, A]), `all frames come from one side (${A})`],
    [
      'a group as source',
      captureOf([B, A], [A, '03:00:00:00:00:01']),
      'frame 2 comes from 03:00:00:00:00:01',
    ],
    ['no source', captureOf([B, '00:00:00:00:00:00']), 'frame 1 comes from 00:00:00:00:00:00'],
    [
      'hosts of one side among themselves',
      captureOf([B, A], [A, B], [A, C], [C, B]),
      'frame 4 goes to 02:00:00',
    ],
    [
      'what no bridge forwards',
      captureOf([B, A], [A, B], ['01:80:c2:00:00:0e', A]),
      'frame 3 goes to 01:80:c2',
    ],
  ])('refuses %s', (_, capture, reason) => {
    expect(() => splitSides(capture)).toThrow(reason);
  });
});
