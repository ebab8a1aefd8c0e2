import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CaptureError } from './capture-error';
import {
  block,
  concat,
  frameOf,
  interfaceBlock,
  MICROSECONDS,
  NANOSECONDS,
  packetBlock,
  pcapFile,
  section,
  words,
} from './capture-files.fixture';
import { parseCapture, readCapture } from './read-capture';

const parse = (bytes: Uint8Array) => parseCapture('test.pcap', bytes);

function refusal(bytes: Uint8Array): string {
  try {
    parse(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(CaptureError);
    return error instanceof Error ? error.message : '';
  }
  return 'accepted';
}

describe('pcap', () => {
  it.each([
    ['little-endian, microseconds', true, MICROSECONDS, 7_000_000_005_000n],
    ['big-endian, microseconds', false, MICROSECONDS, 7_000_000_005_000n],
    ['little-endian, nanoseconds', true, NANOSECONDS, 7_000_000_000_005n],
    ['big-endian, nanoseconds', false, NANOSECONDS, 7_000_000_000_005n],
  ])('%s', (_, littleEndian, magic, expected) => {
    const frames = [frameOf(60), frameOf(1514, 1), frameOf(65535, 2)];
    const file = pcapFile(
      frames.map((bytes) => ({ bytes, seconds: 7000, fraction: 5 })),
      { littleEndian, magic },
    );
    const capture = parse(file);
    expect(capture.format).toBe('pcap');
    expect(capture.frames.map((frame) => Buffer.from(frame.bytes))).toEqual(
      frames.map((frame) => Buffer.from(frame)),
    );
    expect(new Set(capture.frames.map((frame) => frame.timestamp))).toEqual(new Set([expected]));
    expect(capture.byteLength).toBe(60 + 1514 + 65535);
  });

  it('the upper bits of the link type, which hold the checksum length, are ignored', () => {
    expect(parse(pcapFile([{ bytes: frameOf(60) }], { linkType: 0x54000001 })).frames).toHaveLength(1);
  });

  const record = { bytes: frameOf(60) };
  it.each<[string, Uint8Array, string]>([
    ['an empty file', new Uint8Array(0), 'the file is empty'],
    ['a file of three bytes', Uint8Array.of(1, 2, 3), 'the file ends inside the file header'],
    ['text', new TextEncoder().encode('this is not a capture at all'), 'neither a pcap nor a pcapng file'],
    ['a wrong magic', pcapFile([record], { magic: 0xa1b2c3d5 }), 'neither a pcap nor a pcapng file'],
    ['another version', pcapFile([record], { version: [3, 0] }), 'version 3.0 is not known'],
    ['another link type', pcapFile([record], { linkType: 101 }), 'link type 101 is not Ethernet'],
    ['no frames', pcapFile([]), 'the capture holds no frames'],
    ['a header cut short', pcapFile([record]).subarray(0, 20), 'the file ends inside the file header'],
    [
      'a record header cut short',
      pcapFile([record]).subarray(0, 30),
      'at byte 24: the file ends inside the header of frame 1 (6 of 16 bytes are there)',
    ],
    [
      'a frame cut short',
      pcapFile([record]).subarray(0, 90),
      'at byte 40: the file ends inside frame 1 (50 of 60 bytes are there)',
    ],
    ['an absurd length', pcapFile([{ ...record, length: 0xffffffff }]), 'frame 1 claims 4294967295 bytes'],
    [
      'a length beyond the original',
      pcapFile([{ ...record, length: 60, originalLength: 40 }]),
      'frame 1 claims 60 bytes: the file is damaged',
    ],
    [
      'a frame cut by the recorder',
      pcapFile([{ ...record, originalLength: 1514 }]),
      'frame 1 was cut to 60 of 1514 bytes; record whole frames',
    ],
    ['an oversize frame', pcapFile([record, { bytes: frameOf(65536) }]), 'frame 2 has 65536 bytes'],
    ['less than a header', pcapFile([{ bytes: frameOf(13) }]), 'frame 1 has 13 bytes; an Ethernet header'],
    ['a frame of nothing', pcapFile([{ bytes: frameOf(0) }]), 'frame 1 has 0 bytes'],
    ['a time fraction of a second', pcapFile([{ ...record, fraction: 1e6 }]), 'a time fraction of 1000000'],
  ])('refuses %s', (_, file, reason) => {
    expect(refusal(file)).toContain(reason);
  });
});

describe('pcapng', () => {
  const frames = [frameOf(61), frameOf(1514, 1)];

  it.each([true, false])('packets of both kinds, little-endian: %s', (littleEndian) => {
    const file = concat(
      section(littleEndian),
      interfaceBlock({ littleEndian }),
      packetBlock(frames[0] ?? frameOf(60), { ticks: 5_000_001n, littleEndian }),
      // A name resolution block, which is passed over.
      block(4, frameOf(8), littleEndian),
      block(3, concat(words([1514], littleEndian), frames[1] ?? frameOf(60)), littleEndian),
    );
    const capture = parse(file);
    expect(capture.format).toBe('pcapng');
    expect(capture.frames.map((frame) => Buffer.from(frame.bytes))).toEqual(
      frames.map((frame) => Buffer.from(frame)),
    );
    expect(capture.frames.map((frame) => frame.timestamp)).toEqual([5_000_001_000n, 0n]);
  });

  it.each([
    ['none: microseconds', undefined, 3_000n],
    ['10⁻⁹', 9, 3n],
    ['10⁻³', 3, 3_000_000n],
    ['2⁻¹⁰', 0x8a, 2_929_687n],
  ])('time resolution %s', (_, resolution, expected) => {
    const options = resolution === undefined ? {} : { resolution };
    const capture = parse(
      concat(section(), interfaceBlock(options), packetBlock(frameOf(60), { ticks: 3n })),
    );
    expect(capture.frames[0]?.timestamp).toBe(expected);
  });

  it('a second section in the other byte order brings its own interfaces', () => {
    const file = concat(
      section(),
      interfaceBlock({ resolution: 9 }),
      packetBlock(frameOf(60), { ticks: 1n }),
      section(false),
      interfaceBlock({ littleEndian: false }),
      packetBlock(frameOf(64), { ticks: 1n, littleEndian: false }),
    );
    expect(parse(file).frames.map((frame) => [frame.bytes.byteLength, frame.timestamp])).toEqual([
      [60, 1n],
      [64, 1000n],
    ]);
  });

  const start = concat(section(), interfaceBlock());
  it.each<[string, Uint8Array, string]>([
    ['no frames', start, 'the capture holds no frames'],
    ['no byte-order mark', block(0x0a0d0d0a, words([1, 2, 3, 4])), 'no byte-order mark'],
    ['a section cut short', section().subarray(0, 16), 'the file ends inside a block'],
    [
      'a block cut short',
      concat(start, packetBlock(frameOf(60))).subarray(0, 80),
      'the file ends inside a block',
    ],
    ['a block of 8 bytes', concat(start, block(6, frameOf(60), true, 8)), 'a block claims 8 bytes'],
    ['a block of odd length', concat(start, block(6, frameOf(60), true, 71)), 'a block claims 71 bytes'],
    [
      'an absurd block length',
      concat(start, block(6, frameOf(60), true, 0xfffffffc)),
      'the file ends inside a block',
    ],
    [
      'a frame beyond its block',
      concat(start, packetBlock(frameOf(60), { length: 200 })),
      'reaches beyond its block',
    ],
    [
      'a frame of absurd length',
      concat(start, packetBlock(frameOf(60), { length: 0xffffffff })),
      'reaches beyond',
    ],
    ['an unknown interface', concat(start, packetBlock(frameOf(60), { interface: 1 })), 'interface 1, which'],
    ['no interface', concat(section(), packetBlock(frameOf(60))), 'interface 0, which the section lacks'],
    ['a simple packet first', concat(section(), block(3, words([60]))), 'comes before any interface'],
    ['a packet block too short', concat(start, block(6, words([0, 0]))), 'too short for its fields'],
    [
      'another link type',
      concat(section(), interfaceBlock({ linkType: 113 })),
      'link type 113 is not Ethernet',
    ],
    [
      'a cut frame',
      concat(start, packetBlock(frameOf(60), { originalLength: 90 })),
      'was cut to 60 of 90 bytes',
    ],
  ])('refuses %s', (_, file, reason) => {
    expect(refusal(file)).toContain(reason);
  });

  it('refuses two lengths that differ', () => {
    const packet = packetBlock(frameOf(60));
    packet[packet.byteLength - 4] = 0;
    expect(refusal(concat(start, packet))).toContain('the two lengths of a block differ');
  });
});

describe('files', () => {
  it('names what cannot be read', () => {
    const directory = mkdtempSync(join(tmpdir(), 'nc2-capture-'));
    try {
      expect(() => readCapture(join(directory, 'missing.pcap'))).toThrow(
        'missing.pcap: there is no such file',
      );
      expect(() => readCapture(directory)).toThrow('this is a directory; name a capture file');
      const file = join(directory, 'one.pcap');
      writeFileSync(file, pcapFile([{ bytes: frameOf(60) }]));
      expect(readCapture(file).frames).toHaveLength(1);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

describe('any bytes', () => {
  const sound = [
    pcapFile([{ bytes: frameOf(60) }, { bytes: frameOf(300, 1) }]),
    concat(section(), interfaceBlock({ resolution: 9 }), packetBlock(frameOf(60)), packetBlock(frameOf(90))),
  ];
  /** Frames within the file, or a `CaptureError` that names it: nothing else. */
  const survives = (bytes: Uint8Array): void => {
    try {
      for (const frame of parse(bytes).frames) {
        expect(frame.bytes.byteLength).toBeGreaterThanOrEqual(14);
        expect(frame.bytes.buffer).toBe(bytes.buffer);
      }
    } catch (error) {
      if (!(error instanceof CaptureError)) throw error;
      expect(error.message).toMatch(/^test\.pcap: /);
    }
  };

  it('random', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), survives));
  });

  it('sound files with a few bytes changed and the end cut off', () => {
    const edits = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 });
    fc.assert(
      fc.property(fc.constantFrom(...sound), edits, fc.nat(), fc.boolean(), (file, changes, cut, isCut) => {
        const bytes = file.slice(0, isCut ? cut % (file.byteLength + 1) : file.byteLength);
        for (const [at, value] of changes) if (bytes.byteLength > 0) bytes[at % bytes.byteLength] = value;
        survives(bytes);
      }),
      { numRuns: 2000 },
    );
  });
});
