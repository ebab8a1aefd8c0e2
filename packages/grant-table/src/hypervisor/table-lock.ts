/**
 * The lock of one grant table: many readers or one writer, in one word of shared memory.
 *
 * Entry operations read-lock the table; growth, version change, swap and destruction write-lock it. A waiting writer
 * keeps new readers out, but not a reader that already holds another table: such nested readers wait for an active
 * writer only, and an active writer waits for nothing, so tables need no order among each other.
 *
 * Kernels, which never wait, count themselves in the lane of their thread (table-block.ts), so that callers on two CPUs do not
 * wait for one cache line at every copy: a kernel adds itself, then looks whether there is a writer; a writer says that it is at
 * it, then waits until the kernels have left all lanes.
 *
 * Waiting spins first, then sleeps in short turns: nobody has to wake sleepers, so unlocking stays one operation.
 *
 * @packageDocumentation
 */
import { FIRST_LANE, LANE_KERNELS, LANE_WORDS, LANES, TABLE_LOCK } from './table-block';

const WRITER_ACTIVE = 1 << 31;
const WRITER_WAITING = 1 << 30;
const READERS = WRITER_WAITING - 1;

/** From the lock's word to the first lane's count of kernels. */
const KERNELS = FIRST_LANE + LANE_KERNELS - TABLE_LOCK;

const SPINS = 200;
const SLEEP_MILLISECONDS = 1;

/** Takes a reader's share. `nested`: the caller already holds some table. */
export function readLock(words: Int32Array, lock: number, nested: boolean): void {
  const blockers = nested ? WRITER_ACTIVE : WRITER_ACTIVE | WRITER_WAITING;
  if ((Atomics.add(words, lock, 1) & blockers) !== 0) readLockSlowly(words, lock, blockers);
}

function readLockSlowly(words: Int32Array, lock: number, blockers: number): void {
  for (let spins = 0; ; ) {
    Atomics.sub(words, lock, 1);
    let seen = Atomics.load(words, lock);
    while ((seen & blockers) !== 0) {
      if (spins++ >= SPINS) Atomics.wait(words, lock, seen, SLEEP_MILLISECONDS);
      seen = Atomics.load(words, lock);
    }
    if ((Atomics.add(words, lock, 1) & blockers) === 0) return;
  }
}

export function readUnlock(words: Int32Array, lock: number): void {
  Atomics.sub(words, lock, 1);
}

/** Whether a reader that can let go should. A hint: the plain read may lag. */
export function writerWaits(words: Int32Array, lock: number): boolean {
  return ((words[lock] as number) & WRITER_WAITING) !== 0;
}

/**
 * Takes the table for writing.
 *
 * @param patience milliseconds to wait at most.
 * @returns `false` when readers or another writer held on for longer.
 */
export function writeLock(words: Int32Array, lock: number, patience: number): boolean {
  let deadline = 0;
  for (let spins = 0; ; spins++) {
    const seen = Atomics.load(words, lock);
    if ((seen & (WRITER_ACTIVE | READERS)) === 0) {
      if (Atomics.compareExchange(words, lock, seen, WRITER_ACTIVE) !== seen) continue;
      if (kernelsLeave(words, lock, patience)) return true;
      writeUnlock(words, lock);
      return false;
    }
    if ((seen & WRITER_WAITING) === 0) Atomics.or(words, lock, WRITER_WAITING);
    if (spins < SPINS) continue;
    const now = performance.now();
    if (deadline === 0) deadline = now + patience;
    else if (now >= deadline) {
      Atomics.and(words, lock, ~WRITER_WAITING);
      return false;
    }
    Atomics.wait(words, lock, seen | WRITER_WAITING, SLEEP_MILLISECONDS);
  }
}

/** Waits for the kernels that came before the writer; no more come. They hold the table for the length of some copies. */
function kernelsLeave(words: Int32Array, lock: number, patience: number): boolean {
  let deadline = 0;
  for (let spins = 0; ; spins++) {
    if (!kernelsAtWork(words, lock)) return true;
    if (spins < SPINS) continue;
    const now = performance.now();
    if (deadline === 0) deadline = now + patience;
    else if (now >= deadline) return false;
    // Nobody wakes: the word stays as it is, and the wait ends by itself.
    Atomics.wait(words, lock, WRITER_ACTIVE, SLEEP_MILLISECONDS);
  }
}

function kernelsAtWork(words: Int32Array, lock: number): boolean {
  for (let lane = 0; lane < LANES; lane++) {
    if (Atomics.load(words, lock + KERNELS + lane * LANE_WORDS) !== 0) return true;
  }
  return false;
}

export function writeUnlock(words: Int32Array, lock: number): void {
  Atomics.and(words, lock, ~WRITER_ACTIVE);
}
