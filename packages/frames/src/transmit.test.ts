import { EMPTY, range, throwError } from 'rxjs';
import { map } from 'rxjs/operators';
import { TestScheduler } from 'rxjs/testing';
import { describe, expect, it } from 'vitest';
import { RoomyPort } from './test-doubles/roomy-port';
import { TransmitOverflowError, TransmitPortGoneError, transmit, transmitAll } from './transmit';

const frame = (number: number) => Uint8Array.of(number & 0xff);
const frames = (count: number) => range(0, count).pipe(map(frame));
const marbles = () => new TestScheduler((actual, expected) => expect(actual).toEqual(expected));

describe('transmit', () => {
  it('sends what fits, drops what does not, and says so when the source ends', () => {
    const port = new RoomyPort(2);
    const results: unknown[] = [];
    transmit(port, frames(5), { overflow: 'drop' }).subscribe((counters) => results.push(counters));
    expect(results).toEqual([{ sent: 2, dropped: 3 }]);
    expect(port.taken).toEqual([frame(0), frame(1)]);
    expect(port.flushes).toBe(1);
  });

  it('is cold: each subscription counts for itself', () => {
    const port = new RoomyPort(3);
    const results: unknown[] = [];
    const transmission = transmit(port, frames(2), { overflow: 'drop' });
    expect(port.taken).toEqual([]);
    transmission.subscribe((counters) => results.push(counters));
    transmission.subscribe((counters) => results.push(counters));
    expect(results).toEqual([
      { sent: 2, dropped: 0 },
      { sent: 1, dropped: 1 },
    ]);
  });

  it('counts nothing for an empty source', () => {
    const results: unknown[] = [];
    transmit(new RoomyPort(1), EMPTY, { overflow: 'drop' }).subscribe((counters) => results.push(counters));
    expect(results).toEqual([{ sent: 0, dropped: 0 }]);
  });

  it('emits in the frame the source completes in, having sent as it went', () => {
    marbles().run(({ cold, expectObservable }) => {
      const port = new RoomyPort(2);
      const source = cold('-a-b-c-|', { a: frame(1), b: frame(2), c: frame(3) });
      expectObservable(transmit(port, source, { overflow: 'drop' })).toBe('-------(r|)', {
        r: { sent: 2, dropped: 1 },
      });
    });
  });

  it('ends at the first frame without room under the policy fail, and the source with it', () => {
    marbles().run(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('-a-b-c-|', { a: frame(1), b: frame(2), c: frame(3) });
      const sent = transmit(new RoomyPort(1), source, { overflow: 'fail' });
      expectObservable(sent).toBe('---#', undefined, new TransmitOverflowError('roomy'));
      expectSubscriptions(source.subscriptions).toBe('^--!');
    });
  });

  it('stops a source that emits synchronously at the failing frame', () => {
    const port = new RoomyPort(1);
    let asked = 0;
    let failure: unknown;
    const source = range(0, 1000).pipe(
      map((number) => {
        asked += 1;
        return frame(number);
      }),
    );
    transmit(port, source, { overflow: 'fail' }).subscribe({ error: (error: unknown) => (failure = error) });
    expect(failure).toBeInstanceOf(TransmitOverflowError);
    expect(asked).toBe(2);
    expect(port.counters.sendRefused).toBe(1);
  });

  it('passes the error of its source on', () => {
    let failure: unknown;
    const broken = throwError(() => new Error('source broke'));
    transmit(new RoomyPort(1), broken, { overflow: 'drop' }).subscribe({
      error: (error: unknown) => (failure = error),
    });
    expect(failure).toEqual(new Error('source broke'));
  });

  it('lets go of the source when unsubscribed', () => {
    marbles().run(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('-a-b-c-|', { a: frame(1), b: frame(2), c: frame(3) });
      expectObservable(transmit(new RoomyPort(9), source, { overflow: 'drop' }), '^---!').toBe('');
      expectSubscriptions(source.subscriptions).toBe('^---!');
    });
  });
});

describe('transmitAll', () => {
  const numbered = function* (count: number, asked: number[] = []) {
    for (let number = 0; number < count; number += 1) {
      asked.push(number);
      yield frame(number);
    }
  };

  it('waits for room, asks its source for one frame ahead, and sends all in order', () => {
    const port = new RoomyPort(2);
    const asked: number[] = [];
    const results: unknown[] = [];
    transmitAll(port, numbered(5, asked)).subscribe((counters) => results.push(counters));
    expect(asked).toEqual([0, 1, 2]);
    expect(port.flushes).toBe(1);
    port.makeRoom(1);
    expect(asked).toEqual([0, 1, 2, 3]);
    expect(results).toEqual([]);
    port.makeRoom(9);
    expect(port.taken).toEqual([0, 1, 2, 3, 4].map(frame));
    expect(results).toEqual([{ sent: 5, dropped: 0 }]);
    expect(port.writable$.observed).toBe(false);
  });

  it('sends each frame once where a flush makes room before it returns', () => {
    const port = new RoomyPort(1);
    let rounds = 0;
    port.onFlush = () => {
      rounds += 1;
      if (rounds < 10) port.makeRoom(1);
    };
    const results: unknown[] = [];
    transmitAll(port, numbered(6)).subscribe((counters) => results.push(counters));
    expect(port.taken).toEqual([0, 1, 2, 3, 4, 5].map(frame));
    expect(results).toEqual([{ sent: 6, dropped: 0 }]);
  });

  it('fails by name when the port goes for good, and closes its source', () => {
    const port = new RoomyPort(2);
    let closed = false;
    const source = (function* () {
      try {
        yield* numbered(5);
      } finally {
        closed = true;
      }
    })();
    let failure: unknown;
    transmitAll(port, source).subscribe({ error: (error: unknown) => (failure = error) });
    port.writable$.complete();
    expect(failure).toEqual(new TransmitPortGoneError('roomy', 2));
    expect(closed).toBe(true);
  });

  it('passes on what its source throws, also when it does so after waiting', () => {
    const port = new RoomyPort(1);
    const source = (function* () {
      yield frame(0);
      yield frame(1);
      throw new Error('source broke');
    })();
    let failure: unknown;
    transmitAll(port, source).subscribe({ error: (error: unknown) => (failure = error) });
    port.makeRoom(1);
    expect(failure).toEqual(new Error('source broke'));
  });

  it('stops when unsubscribed and closes its source', () => {
    const port = new RoomyPort(1);
    const asked: number[] = [];
    const subscription = transmitAll(port, numbered(5, asked)).subscribe();
    subscription.unsubscribe();
    port.makeRoom(5);
    expect(port.taken).toEqual([frame(0)]);
    expect(port.writable$.observed).toBe(false);
  });

  it('follows writable$ in time', () => {
    marbles().run(({ cold, expectObservable }) => {
      const port = new RoomyPort(1);
      cold('---a--a--|').subscribe(() => port.makeRoom(1));
      expectObservable(transmitAll(port, numbered(3))).toBe('------(r|)', { r: { sent: 3, dropped: 0 } });
    });
  });

  it('takes an array as well', () => {
    const results: unknown[] = [];
    transmitAll(new RoomyPort(2), [frame(1), frame(2)]).subscribe((counters) => results.push(counters));
    expect(results).toEqual([{ sent: 2, dropped: 0 }]);
  });
});
