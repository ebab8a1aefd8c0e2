import type { MemoryArea } from '@netchannel2/xen';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AddressInFrame, SOURCE_MAC, TARGET_MAC } from './address-in-frame';

const mac = fc.uint8Array({ minLength: 6, maxLength: 6 });

describe.each([
  ['target', TARGET_MAC],
  ['source', SOURCE_MAC],
])('the %s of a frame', (_name, at) => {
  it('is found where its six bytes are, whatever the others are', () => {
    const base = fc.nat(3).map((page) => 4096 * page);
    const other = fc.option(fc.record({ byte: fc.nat(5), bit: fc.nat(7) }));
    fc.assert(
      fc.property(
        mac,
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
        base,
        other,
        (address, rest, from, change) => {
          const bytes = new Uint8Array(4 * 4096);
          const area: MemoryArea = {
            bytes,
            words: new Int32Array(bytes.buffer),
            base: from,
            byteLength: 4096,
          };
          bytes.set(rest, from);
          bytes.set(address, from + at);
          if (change !== null) {
            const byte = from + at + change.byte;
            bytes[byte] = (bytes[byte] ?? 0) ^ (1 << change.bit);
          }
          expect(new AddressInFrame(address, at).isIn(area)).toBe(change === null);
        },
      ),
    );
  });
});
