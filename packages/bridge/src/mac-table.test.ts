import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MacTable, NO_PORT } from './mac-table';

const table = (options: Partial<ConstructorParameters<typeof MacTable>[0]> = {}) =>
  new MacTable({ capacity: 64, addressesPerPort: 64, ageing: 1000, seed: 0, ...options });

describe('MacTable', () => {
  it('keeps addresses apart that differ in one half only', () => {
    const macs = table();
    macs.learn(0x0200, 1, 0, 0);
    macs.learn(0x0201, 1, 1, 0);
    macs.learn(0x0200, 0xffffffff, 2, 0);
    expect([
      macs.lookup(0x0200, 1, 0),
      macs.lookup(0x0201, 1, 0),
      macs.lookup(0x0200, 0xffffffff, 0),
      macs.lookup(0x0200, 2, 0),
    ]).toEqual([0, 1, 2, NO_PORT]);
  });

  it('forgets what was not seen for longer than the ageing time', () => {
    const macs = table();
    macs.learn(2, 1, 0, 0);
    expect(macs.lookup(2, 1, 1000)).toBe(0);
    expect(macs.lookup(2, 1, 1001)).toBe(NO_PORT);
    expect(macs.size).toBe(0);
  });

  it('keeps a flood of made-up addresses to its own share', () => {
    const macs = table({ addressesPerPort: 16 });
    macs.learn(2, 1, 0, 0);
    let refused = 0;
    for (let low = 100; low < 1100; low += 1) if (!macs.learn(2, low, 1, 1)) refused += 1;
    expect(refused).toBe(984);
    expect(macs.size).toBe(17);
    expect(macs.lookup(2, 1, 1)).toBe(0);
    expect(macs.learn(2, 2, 2, 1)).toBe(true);
  });

  it('makes room from aged addresses once it is full', () => {
    const macs = table({ capacity: 16, addressesPerPort: 16 });
    for (let low = 0; low < 16; low += 1) macs.learn(2, low, 0, 0);
    let learned = 0;
    for (let low = 100; low < 132; low += 1) if (macs.learn(2, low, 0, 5000)) learned += 1;
    expect(learned).toBeGreaterThanOrEqual(8);
    expect(macs.size).toBeLessThanOrEqual(16);
  });

  it('moves an address, and with it the share it counts for', () => {
    const macs = table({ addressesPerPort: 1 });
    expect(macs.learn(2, 1, 0, 0)).toBe(true);
    expect(macs.learn(2, 1, 1, 0)).toBe(true);
    expect(macs.lookup(2, 1, 0)).toBe(1);
    expect(macs.learn(2, 2, 0, 0)).toBe(true);
    expect(macs.learn(2, 3, 1, 0)).toBe(false);
  });

  it('behaves as a map with times', () => {
    const address = fc.record({ high: fc.integer({ min: 0, max: 2 }), low: fc.integer({ min: 0, max: 11 }) });
    const command = fc.oneof(
      fc.record({ kind: fc.constant('learn' as const), address, port: fc.nat(3), wait: fc.nat(400) }),
      fc.record({ kind: fc.constant('lookup' as const), address, port: fc.nat(3), wait: fc.nat(400) }),
      fc.record({ kind: fc.constant('forget' as const), address, port: fc.nat(3), wait: fc.nat(400) }),
    );
    fc.assert(
      fc.property(fc.array(command, { maxLength: 120 }), fc.integer(), (commands, seed) => {
        const macs = table({ capacity: 40, addressesPerPort: 40, seed });
        const model = new Map<string, { port: number; seen: number }>();
        let now = 0;
        for (const { kind, address, port, wait } of commands) {
          now += wait;
          const key = `${address.high}/${address.low}`;
          if (kind === 'learn') {
            expect(macs.learn(address.high, address.low, port, now)).toBe(true);
            model.set(key, { port, seen: now });
          } else if (kind === 'lookup') {
            const known = model.get(key);
            const expected = known !== undefined && now - known.seen <= 1000 ? known.port : NO_PORT;
            expect(macs.lookup(address.high, address.low, now)).toBe(expected);
          } else {
            macs.forget(port);
            for (const [other, entry] of model) if (entry.port === port) model.delete(other);
          }
        }
      }),
      { numRuns: 300 },
    );
  });
});
