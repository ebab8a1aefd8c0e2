import { VirtualTimeScheduler } from 'rxjs';
import { beforeEach, describe, expect, it } from 'vitest';
import { Bridge } from './bridge';
import { ForwardingMemoryPort } from './forwarding-port.fixture';
import { BROADCAST, frameBetween, MemoryPort } from './memory-port.fixture';

describe('Bridge, packets in grants', () => {
  let bridge: Bridge;
  let ports: ForwardingMemoryPort[];
  const at = (index: number): ForwardingMemoryPort => {
    const port = ports[index];
    if (port === undefined) throw new Error(`no port ${index}`);
    return port;
  };
  /** Packets each port was given in grants, and as bytes. */
  const heard = () => ports.map((port) => [port.held.splice(0).length, port.takeSent().length]);
  const counters = (index: number) => bridge.ports[index]?.counters;

  beforeEach(() => {
    bridge = new Bridge({ scheduler: new VirtualTimeScheduler() });
    ports = ['a', 'b', 'c'].map((name) => new ForwardingMemoryPort(name));
    for (const port of ports) bridge.add(port);
    at(1).receive(frameBetween(2, 1, 300));
    heard();
  });

  it('go to the port of their destination, after what came before them, and count as frames', () => {
    at(0).receive(frameBetween(1, 2, 300));
    expect(heard()).toEqual([
      [0, 0],
      [1, 0],
      [0, 0],
    ]);
    expect([at(0).earlier, at(0).holders]).toEqual([1, 1]);
    expect(counters(0)).toMatchObject({ framesIn: 1, bytesIn: 314, forwarded: 1, flooded: 0 });
    expect(counters(1)).toMatchObject({ framesOut: 1, bytesOut: 314 });
    expect(bridge.addresses()).toHaveLength(2);
  });

  it('are copied where the port cannot take them', () => {
    at(1).accepting = false;
    at(0).receive(frameBetween(1, 2, 300));
    expect(heard()).toEqual([
      [0, 0],
      [0, 1],
      [0, 0],
    ]);
    expect(at(0).holders).toBe(0);
    expect(counters(0)).toMatchObject({ framesIn: 1, forwarded: 0 });
  });

  it('are lost and counted where the port has no room', () => {
    at(1).hasRoom = false;
    at(0).receive(frameBetween(1, 2, 300));
    expect(counters(1)).toMatchObject({ refused: 1, framesOut: 0 });
    expect(at(0).holders).toBe(0);
  });

  it.each([
    ['broadcast', BROADCAST],
    ['unknown', 77],
  ])('%s: one grant for each receiver, all sharing the packet', (_, target) => {
    at(0).receive(frameBetween(1, target, 300));
    expect(at(0).holders).toBe(2);
    expect(heard()).toEqual([
      [0, 0],
      [1, 0],
      [1, 0],
    ]);
    expect(counters(0)).toMatchObject({ framesIn: 1, flooded: 1, forwarded: 1 });
  });

  it('one receiver that cannot, or too many of them: one copy for all', () => {
    const plain = new MemoryPort('tap');
    bridge.add(plain);
    at(0).receive(frameBetween(1, BROADCAST, 300));
    expect(heard()).toEqual([
      [0, 0],
      [0, 1],
      [0, 1],
    ]);
    expect(plain.takeSent()).toHaveLength(1);
    bridge.remove(plain);
    for (const name of ['d', 'e', 'f']) bridge.add(new ForwardingMemoryPort(name));
    at(0).receive(frameBetween(1, BROADCAST, 300));
    expect(heard()[1]).toEqual([0, 1]);
  });

  it('nothing is done with a packet whose destination is where it came from', () => {
    at(1).receive(frameBetween(3, 2, 300));
    expect(heard().flat()).toEqual([0, 0, 0, 0, 0, 0]);
    expect(counters(1)).toMatchObject({ filtered: 1 });
  });

  it('nothing is handed on once the device has gone meanwhile', () => {
    at(0).here = false;
    at(0).receive(frameBetween(1, 2, 300));
    expect(heard().flat()).toEqual([0, 0, 0, 0, 0, 0]);
    expect(counters(0)).toMatchObject({ framesIn: 0 });
  });

  it.each([
    ['from a group address', frameBetween([3, 0, 0, 0, 0, 1], 2, 300)],
    ['link-local', frameBetween(1, [1, 0x80, 0xc2, 0, 0, 0x0e], 300)],
    ['short', frameBetween(1, 2).subarray(0, 10)],
  ])('%s: counted as invalid, once', (_, frame) => {
    at(0).receive(frame);
    expect(heard().flat()).toEqual([0, 0, 0, 0, 0, 0]);
    expect(counters(0)).toMatchObject({ framesIn: 1, invalid: 1, forwarded: 0 });
  });

  it('a port that left is asked nothing any more', () => {
    bridge.remove(at(0));
    expect(at(0).forwarder).toBeUndefined();
    bridge.close();
    expect(at(1).forwarder).toBeUndefined();
  });
});
