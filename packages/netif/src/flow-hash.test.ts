import fc from 'fast-check';
import { expect, it } from 'vitest';
import { flowHash } from './index';

const packet = (etherType: number, body: readonly number[]) =>
  new Uint8Array([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, etherType >> 8, etherType & 0xff, ...body]);

const udp4 = (sourcePort: number, options: { fragment?: number; payload?: number } = {}) =>
  packet(0x0800, [
    ...[0x45, 0, 0, 40, 0, 0, options.fragment ?? 0, 0, 64, 17, 0, 0],
    ...[10, 0, 0, 1, 10, 0, 0, 2],
    ...[sourcePort >> 8, sourcePort & 0xff, 0, 53, 0, 20, 0, 0, options.payload ?? 0],
  ]);

const hash = (bytes: Uint8Array) => flowHash(bytes, 0, bytes.length);

it('packets of one flow share a hash, whatever they carry and wherever they lie', () => {
  const bytes = udp4(1000, { payload: 7 });
  expect(hash(bytes)).toBe(hash(udp4(1000)));
  const shifted = new Uint8Array(200).fill(0xa5);
  shifted.set(bytes, 33);
  expect(flowHash(shifted, 33, 33 + bytes.length)).toBe(hash(bytes));
});

it('ports tell flows apart, except of fragments', () => {
  expect(hash(udp4(1000))).not.toBe(hash(udp4(1001)));
  expect(hash(udp4(1000, { fragment: 0x20 }))).toBe(hash(udp4(1001, { fragment: 0x20 })));
});

it('flows spread evenly over four queues', () => {
  const counts = [0, 0, 0, 0];
  for (let port = 1; port <= 4000; port += 1) {
    const queue = hash(udp4(port)) % 4;
    counts[queue] = (counts[queue] ?? 0) + 1;
  }
  for (const count of counts) expect(count).toBeGreaterThan(850);
});

it('looks at nothing beyond the end and takes any bytes', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 80 }),
      fc.uint8Array({ minLength: 40, maxLength: 40 }),
      (bytes, beyond) => {
        const longer = new Uint8Array([...bytes, ...beyond]);
        const value = flowHash(longer, 0, bytes.length);
        expect(value).toBe(hash(bytes));
        expect(value >>> 0).toBe(value);
      },
    ),
  );
});
