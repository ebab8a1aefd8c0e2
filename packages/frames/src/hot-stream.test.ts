import { type Subscription, take } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { HotStream } from './hot-stream';

describe('HotStream', () => {
  it('gives each value to those who are there', () => {
    const stream = new HotStream<number>();
    const first: number[] = [];
    const second: number[] = [];
    stream.emit(0);
    const subscription = stream.subscribe((value) => first.push(value));
    stream.emit(1);
    stream.subscribe((value) => second.push(value));
    stream.emit(2);
    subscription.unsubscribe();
    stream.emit(3);
    expect(first).toEqual([1, 2]);
    expect(second).toEqual([2, 3]);
  });

  it('knows whether anybody listens', () => {
    const stream = new HotStream<number>();
    expect(stream.observed).toBe(false);
    const subscription = stream.subscribe();
    expect(stream.observed).toBe(true);
    subscription.unsubscribe();
    expect(stream.observed).toBe(false);
  });

  it('lets a subscriber leave during an emission without harm to the others', () => {
    const stream = new HotStream<number>();
    const seen: string[] = [];
    const leaving: Subscription = stream.subscribe((value) => {
      seen.push(`a${value}`);
      leaving.unsubscribe();
    });
    stream.subscribe((value) => seen.push(`b${value}`));
    stream.emit(1);
    stream.emit(2);
    expect(seen).toEqual(['a1', 'b1', 'b2']);
  });

  it('starts a subscriber that comes during an emission with the next value', () => {
    const stream = new HotStream<number>();
    const seen: number[] = [];
    stream.pipe(take(1)).subscribe(() => stream.subscribe((value) => seen.push(value)));
    stream.emit(1);
    stream.emit(2);
    expect(seen).toEqual([2]);
  });

  it('completes all once, lets go of them, and completes late comers at once', () => {
    const stream = new HotStream<number>();
    let completions = 0;
    const observer = { complete: () => (completions += 1) };
    stream.subscribe(observer);
    stream.subscribe(observer);
    stream.complete();
    stream.complete();
    stream.emit(1);
    expect(completions).toBe(2);
    expect(stream.observed).toBe(false);
    stream.subscribe(observer);
    expect(completions).toBe(3);
  });

  it('can be completed from inside an emission', () => {
    const stream = new HotStream<number>();
    const seen: (number | string)[] = [];
    stream.subscribe({ next: () => stream.complete(), complete: () => seen.push('first done') });
    stream.subscribe({ next: (value) => seen.push(value), complete: () => seen.push('second done') });
    stream.emit(1);
    expect(seen).toEqual(['first done', 'second done']);
  });
});
