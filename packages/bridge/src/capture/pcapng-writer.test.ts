import { describe, expect, it } from 'vitest';
import { concat, frameOf } from './capture-files.fixture';
import { PcapngWriter } from './pcapng-writer';
import { parseCapture } from './read-capture';

const hex = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString('hex');

describe('PcapngWriter', () => {
  it('writes blocks of the format’s shape', () => {
    const blocks: Uint8Array[] = [];
    const writer = new PcapngWriter((bytes) => blocks.push(bytes), 'app');
    const number = writer.addInterface('eth0', 'of a test');
    writer.write({
      interface: number,
      timestamp: 0x1_0000_0002n,
      direction: 'in',
      frame: Uint8Array.of(1, 2, 3),
    });
    expect(blocks.map(hex)).toEqual([
      // type, length, byte order, version 1.0, section length unknown, shb_userappl `app`, end, length
      '0a0d0d0a' +
        '28000000' +
        '4d3c2b1a' +
        '01000000' +
        'ffffffffffffffff' +
        '0400030061707000' +
        '00000000' +
        '28000000',
      // Ethernet, no snap length, if_name, if_description, if_tsresol 9, end
      '01000000' +
        '38000000' +
        '01000000' +
        '00000000' +
        '0200040065746830' +
        '030009006f66206120746573' +
        '74000000' +
        '0900010009000000' +
        '00000000' +
        '38000000',
      // interface, time high and low, both lengths, bytes and padding, epb_flags inbound, end
      '06000000' +
        '30000000' +
        '00000000' +
        '01000000' +
        '02000000' +
        '03000000' +
        '03000000' +
        '01020300' +
        '0200040001000000' +
        '00000000' +
        '30000000',
    ]);
  });

  it('what it writes reads back', () => {
    const blocks: Uint8Array[] = [];
    const writer = new PcapngWriter((bytes) => blocks.push(bytes), 'test');
    const ports = [writer.addInterface('first', ''), writer.addInterface('zweite Überschrift', 'ünïcode')];
    const frames = [14, 15, 16, 17, 1514, 65535].map((length, index) => frameOf(length, index));
    for (const [index, frame] of frames.entries())
      writer.sink(ports[index & 1] ?? 0, () => BigInt(index)).record(frame, index & 1 ? 'in' : 'out');
    const capture = parseCapture('written', concat(...blocks));
    expect(capture.frames.map((frame) => hex(frame.bytes))).toEqual(frames.map(hex));
    expect(capture.frames.map((frame) => frame.timestamp)).toEqual([0n, 1n, 2n, 3n, 4n, 5n]);
  });

  it('refuses an interface that was not added', () => {
    const writer = new PcapngWriter(() => {}, 'test');
    const write = () => writer.write({ interface: 0, timestamp: 0n, direction: 'out', frame: frameOf(60) });
    expect(write).toThrow('interface 0 was not added');
  });
});
