import type { Frame } from '@netchannel2/xen';
import fc from 'fast-check';
import { VirtualTimeScheduler } from 'rxjs';
import { beforeEach, describe, expect, it } from 'vitest';
import { Bridge } from './bridge';
import { BROADCAST, frameBetween, MemoryPort } from './memory-port.fixture';

describe('Bridge', () => {
  let bridge: Bridge;
  let scheduler: VirtualTimeScheduler;
  let ports: MemoryPort[];
  const at = (index: number): MemoryPort => {
    const port = ports[index];
    if (port === undefined) throw new Error(`no port ${index}`);
    return port;
  };
  const heard = () => ports.map((port) => port.takeSent().length);

  beforeEach(() => {
    scheduler = new VirtualTimeScheduler();
    bridge = new Bridge({ scheduler, ageing: 100 });
    ports = ['a', 'b', 'c'].map((name) => new MemoryPort(name));
    for (const port of ports) bridge.add(port);
  });

  it('floods what it does not know, never back to the sender', () => {
    at(0).receive(frameBetween(1, 2));
    expect(heard()).toEqual([0, 1, 1]);
    expect(bridge.ports[0]?.counters).toMatchObject({ framesIn: 1, bytesIn: 60, flooded: 1, framesOut: 0 });
    expect(bridge.ports[2]?.counters).toMatchObject({ framesOut: 1, bytesOut: 60 });
  });

  it('sends to the port where the destination was seen, and only there', () => {
    at(1).receive(frameBetween(2, BROADCAST));
    heard();
    at(0).receive(frameBetween(1, 2));
    expect(heard()).toEqual([0, 1, 0]);
    expect(bridge.addresses()).toEqual(
      expect.arrayContaining([
        { mac: '02:00:00:00:00:01', port: at(0), age: 0 },
        { mac: '02:00:00:00:00:02', port: at(1), age: 0 },
      ]),
    );
  });

  it('carries frames byte for byte', () => {
    const frame = frameBetween(1, 2, 9000).map((byte, index) => (index > 13 ? index & 0xff : byte));
    at(0).receive(frame);
    expect(at(1).takeSent()).toEqual([frame]);
  });

  it.each([
    ['broadcast', BROADCAST],
    ['multicast', [1, 0, 0x5e, 0, 0, 1]],
  ])('floods %s even to known addresses', (_, target) => {
    at(0).receive(frameBetween(1, target));
    at(0).receive(frameBetween(1, target));
    expect(heard()).toEqual([0, 2, 2]);
  });

  it('leaves a frame alone whose destination is where it came from', () => {
    at(0).receive(frameBetween(1, BROADCAST));
    at(0).receive(frameBetween(2, BROADCAST));
    heard();
    at(0).receive(frameBetween(1, 2));
    expect(heard()).toEqual([0, 0, 0]);
    expect(bridge.ports[0]?.counters.filtered).toBe(1);
  });

  it.each([
    ['shorter than a header', frameBetween(1, 2).subarray(0, 13)],
    ['from a group address', frameBetween([3, 0, 0, 0, 0, 1], 2)],
    ['from nobody', frameBetween([0, 0, 0, 0, 0, 0], 2)],
    ['link-local', frameBetween(1, [1, 0x80, 0xc2, 0, 0, 0x0e])],
  ])('forwards nothing that is %s', (_, frame) => {
    at(0).receive(frame);
    expect(heard()).toEqual([0, 0, 0]);
    expect(bridge.ports[0]?.counters.invalid).toBe(1);
    expect(bridge.addresses()).toEqual([]);
  });

  it('loses and counts what a port has no room for; other ports get it', () => {
    at(1).hasRoom = false;
    at(0).receive(frameBetween(1, BROADCAST));
    expect(heard()).toEqual([0, 0, 1]);
    expect(bridge.ports[1]?.counters).toMatchObject({ refused: 1, framesOut: 0 });
  });

  it('follows an address that moves', () => {
    at(0).receive(frameBetween(1, BROADCAST));
    at(2).receive(frameBetween(1, BROADCAST));
    heard();
    at(1).receive(frameBetween(2, 1));
    expect(heard()).toEqual([0, 0, 1]);
  });

  it('floods to an address again that was not seen for the ageing time, with no timer', () => {
    at(1).receive(frameBetween(2, BROADCAST));
    expect(scheduler.actions).toEqual([]);
    scheduler.schedule(() => at(0).receive(frameBetween(1, 2)), 101);
    heard();
    scheduler.flush();
    expect(heard()).toEqual([0, 1, 1]);
  });

  it('takes ports off: no frames, no addresses, no subscription', () => {
    at(1).receive(frameBetween(2, BROADCAST));
    heard();
    expect(bridge.remove(at(1))).toBe(true);
    expect(bridge.remove(at(1))).toBe(false);
    expect(at(1).frames$.observed).toBe(false);
    at(0).receive(frameBetween(1, 2));
    expect(heard()).toEqual([0, 0, 1]);
    const again = new MemoryPort('d');
    bridge.add(again);
    at(0).receive(frameBetween(1, 2));
    expect(again.takeSent()).toHaveLength(1);
  });

  it('refuses a port that is on it already', () => {
    expect(() => bridge.add(at(0))).toThrow('a is on bridge already');
  });

  it('lets a port go whose frames end, even at once', () => {
    at(0).frames$.complete();
    expect(bridge.ports.map(({ port }) => port.name)).toEqual(['b', 'c']);
    bridge.add(at(0));
    expect(bridge.ports).toHaveLength(2);
  });

  it('survives a port that leaves while a flood is under way', () => {
    const leaving = at(1);
    const send = leaving.send.bind(leaving);
    leaving.send = (frame: Frame | Uint8Array) => {
      bridge.remove(leaving);
      return send(frame);
    };
    at(0).receive(frameBetween(1, BROADCAST));
    at(0).receive(frameBetween(1, BROADCAST));
    expect(heard()).toEqual([0, 1, 2]);
  });

  it('forgets addresses when told, and closes', () => {
    at(1).receive(frameBetween(2, BROADCAST));
    bridge.forget(at(1));
    expect(bridge.addresses()).toEqual([]);
    bridge.close();
    expect(ports.some((port) => port.frames$.observed)).toBe(false);
  });

  it.each([
    ['capacity', { capacity: 0 }],
    ['addressesPerPort', { addressesPerPort: 1.5 }],
    ['ageing', { ageing: -1 }],
  ])('refuses a nonsensical %s', (name, options) => {
    expect(() => new Bridge(options)).toThrow(name);
  });

  it('behaves as a map from address to port', () => {
    const PORTS = 4;
    const step = fc.oneof(
      {
        weight: 8,
        arbitrary: fc.record({
          kind: fc.constant('frame' as const),
          port: fc.nat(PORTS - 1),
          source: fc.integer({ min: 1, max: 6 }),
          target: fc.integer({ min: 0, max: 6 }),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ kind: fc.constant('toggle' as const), port: fc.nat(PORTS - 1) }),
      },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const subject = new Bridge({ scheduler });
        const all = Array.from({ length: PORTS }, (_, index) => new MemoryPort(`p${index}`));
        const present = new Set<MemoryPort>();
        const model = new Map<number, MemoryPort>();
        for (const next of steps) {
          const port = all[next.port] as MemoryPort;
          if (next.kind === 'toggle') {
            if (present.delete(port)) {
              subject.remove(port);
              for (const [mac, owner] of model) if (owner === port) model.delete(mac);
            } else {
              subject.add(port);
              present.add(port);
            }
            continue;
          }
          port.receive(frameBetween(next.source, next.target === 0 ? BROADCAST : next.target));
          let expected: MemoryPort[] = [];
          if (present.has(port)) {
            model.set(next.source, port);
            const owner = model.get(next.target);
            const others = [...present].filter((other) => other !== port);
            expected = owner === undefined ? others : others.filter((other) => other === owner);
          }
          const got = all.filter((other) => other.takeSent().length === 1);
          expect(new Set(got)).toEqual(new Set(expected));
        }
        subject.close();
      }),
      { numRuns: 200 },
    );
  });
});
