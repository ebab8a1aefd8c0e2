/** What `parallel.test.ts` and its worker agree on. */
import type { WasmMemory } from '../../machine/webassembly';

export interface ParallelTask {
  readonly memory: WasmMemory;
  readonly role: 'map and unmap' | 'unmap the device part' | 'transfer back' | 'hammer an entry';
  /** Word index of {@link Control}. */
  readonly control: number;
  /** Pages of A and B for this thread's arguments. */
  readonly argumentOfA: number;
  readonly argumentOfB: number;
  /** A free address in B's window. */
  readonly host: number;
  /** Word index of the entry to hammer. */
  readonly entry: number;
}

/** Words both threads see. */
export const Control = {
  /** 1 ends the work. */
  stop: 0,
  /** Rounds begun by the test. */
  begun: 1,
  /** Rounds this thread is through with. */
  done: 2,
  /** What a round is about, and its status. */
  handle: 3,
  device: 4,
  frame: 5,
  status: 6,
  /** From here on a word per handle: 1 while somebody holds it. */
  held: 16,
} as const;
