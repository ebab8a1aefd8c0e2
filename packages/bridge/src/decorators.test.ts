import { describe, expect, it } from 'vitest';
import { CapturePort } from './capture-port';
import type { CaptureSink } from './capture-sink';
import { captured } from './captured';
import { BROADCAST, frameBetween, MemoryPort } from './memory-port.fixture';
import { traced } from './traced';
import { withFaults } from './with-faults';

class ListSink implements CaptureSink {
  readonly records: [string, Uint8Array][] = [];
  record(frame: Parameters<CaptureSink['record']>[0], direction: 'in' | 'out'): void {
    this.records.push([direction, frame instanceof Uint8Array ? frame : frame.toBytes()]);
  }
}

const numbered = (count: number) => Array.from({ length: count }, (_, index) => frameBetween(index, 200));
const sources = (frames: readonly Uint8Array[]) => frames.map((frame) => frame[11]);

describe('captured', () => {
  it('records each frame once, whatever the number of subscribers', () => {
    const port = new MemoryPort('vif1.0');
    const sink = new ListSink();
    const subject = captured(port, sink);
    let seen = 0;
    const subscriptions = [1, 2].map(() => subject.frames$.subscribe(() => (seen += 1)));
    const incoming = frameBetween(1, 2);
    port.receive(incoming);
    const outgoing = frameBetween(2, 1);
    expect(subject.send(outgoing)).toBe(true);
    port.hasRoom = false;
    expect(subject.send(outgoing)).toBe(false);
    expect(seen).toBe(2);
    expect(sink.records).toEqual([
      ['in', incoming],
      ['out', outgoing],
    ]);
    for (const subscription of subscriptions) subscription.unsubscribe();
    expect(port.frames$.observed).toBe(false);
  });

  it('is a port itself', () => {
    const port = new MemoryPort('vif1.0');
    const subject = captured(port, new ListSink());
    subject.flush();
    expect([subject.name, port.flushes, subject.counters, subject.writable$]).toEqual([
      'vif1.0',
      1,
      port.counters,
      port.writable$,
    ]);
  });
});

describe('CapturePort', () => {
  it('records what a bridge sends to it', () => {
    const sink = new ListSink();
    const port = new CapturePort('file', sink);
    expect(port.send(frameBetween(1, 2))).toBe(true);
    expect(sink.records).toHaveLength(1);
    expect(port.counters).toMatchObject({ framesSent: 1, bytesSent: 60 });
  });
});

describe('traced', () => {
  it('writes a line for each frame', () => {
    const lines: string[] = [];
    const port = new MemoryPort('vif1.0');
    const subject = traced(port, (line) => lines.push(line));
    subject.frames$.subscribe();
    port.receive(frameBetween(1, BROADCAST));
    subject.send(frameBetween(2, 1));
    port.hasRoom = false;
    subject.send(new Uint8Array(5));
    expect(lines).toEqual([
      'vif1.0 < 02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff 0x88b5 60 bytes',
      'vif1.0 > 02:00:00:00:00:02 > 02:00:00:00:00:01 0x88b5 60 bytes',
      'vif1.0 > runt of 5 bytes refused: no room',
    ]);
  });
});

describe('withFaults', () => {
  it('changes nothing without faults', () => {
    const port = new MemoryPort('p');
    const subject = withFaults(port, { seed: 1 });
    const frames = numbered(20);
    for (const frame of frames) expect(subject.send(frame)).toBe(true);
    expect(port.sent).toEqual(frames);
  });

  it('loses and doubles in both directions, and counts', () => {
    const port = new MemoryPort('p');
    const subject = withFaults(port, { seed: 7, loss: 0.2, duplicate: 0.2 });
    let received = 0;
    subject.frames$.subscribe(() => (received += 1));
    for (const frame of numbered(100)) {
      subject.send(frame);
      port.receive(frame);
    }
    const { lost, duplicated } = subject.faults;
    expect(lost).toBeGreaterThan(10);
    expect(duplicated).toBeGreaterThan(10);
    expect(port.sent.length + received).toBe(200 - lost + duplicated);
  });

  it('does the same for the same seed', () => {
    const run = (seed: number) => {
      const port = new MemoryPort('p');
      const subject = withFaults(port, { seed, loss: 0.1, duplicate: 0.1, reorder: 0.1 });
      for (const frame of numbered(100)) subject.send(frame);
      subject.flush();
      return sources(port.sent);
    };
    expect(run(3)).toEqual(run(3));
    expect(run(3)).not.toEqual(run(4));
  });

  it('swaps neighbours, and holds nothing beyond a flush', () => {
    const port = new MemoryPort('p');
    const subject = withFaults(port, { seed: 1, reorder: 1 });
    for (const frame of numbered(3)) subject.send(frame);
    expect(sources(port.sent)).toEqual([1, 0]);
    subject.flush();
    expect(sources(port.sent)).toEqual([1, 0, 2]);
  });

  it.each(['loss', 'duplicate', 'reorder'])('refuses a %s that is no probability', (fault) => {
    expect(() => withFaults(new MemoryPort('p'), { seed: 1, [fault]: 1.5 })).toThrow(fault);
  });
});
