import { beforeEach, describe, expect, it } from 'vitest';
import { withAll } from './all-at-once';

let stopped: string[];
beforeEach(() => {
  stopped = [];
});

const start = async (name: string, failing: readonly string[] = []) => ({
  name,
  stop: async () => {
    stopped.push(name);
    if (failing.includes(name)) throw new Error(`${name} leaks`);
  },
});

describe('withAll', () => {
  it('answers what was made of all, once all are stopped', async () => {
    const names = await withAll(['a', 'b'], start, async (all) => all.map(({ name }) => name).join());
    expect(names).toBe('a,b');
    expect(stopped).toEqual(['a', 'b']);
  });

  it('stops all when the work fails, and tells of the work even if a stop fails as well', async () => {
    const work = withAll(
      ['a', 'b'],
      (name) => start(name, ['a']),
      () => Promise.reject(new Error('lost')),
    );
    await expect(work).rejects.toThrow('lost');
    expect(stopped).toEqual(['a', 'b']);
  });

  it('stops those that were started when another does not start', async () => {
    const begin = (name: string) => (name === 'c' ? Promise.reject(new Error('no pages')) : start(name));
    await expect(withAll(['a', 'b', 'c', 'd'], begin, async () => 0)).rejects.toThrow('no pages');
    expect(stopped).toEqual(['a', 'b']);
  });

  it('throws what a stop said, and stops the others all the same', async () => {
    const work = withAll(
      ['a', 'b'],
      (name) => start(name, ['a']),
      async () => 0,
    );
    await expect(work).rejects.toThrow('a leaks');
    expect(stopped).toEqual(['a', 'b']);
  });
});
