/**
 * A mutex in one shared word: 0 free, 1 held, 2 held and waited for. Not re-entrant. Nothing that could call back into
 * a driver runs under one.
 */
const FREE = 0;
const HELD = 1;
const CONTENDED = 2;
const SPINS = 200;

export function lock(words: Int32Array, index: number): void {
  if (Atomics.compareExchange(words, index, FREE, HELD) === FREE) return;
  for (let spin = 0; spin < SPINS; spin++) {
    if (Atomics.compareExchange(words, index, FREE, HELD) === FREE) return;
  }
  while (Atomics.exchange(words, index, CONTENDED) !== FREE) Atomics.wait(words, index, CONTENDED);
}

export function unlock(words: Int32Array, index: number): void {
  if (Atomics.exchange(words, index, FREE) === CONTENDED) Atomics.notify(words, index, 1);
}

/** Takes two locks in the order of their addresses; the same lock once. */
export function lockPair(words: Int32Array, first: number, second: number): void {
  lock(words, first < second ? first : second);
  if (first !== second) lock(words, first < second ? second : first);
}

export function unlockPair(words: Int32Array, first: number, second: number): void {
  if (first !== second) unlock(words, second);
  unlock(words, first);
}
