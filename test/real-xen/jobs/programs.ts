import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** Runs a program; its standard output. Rejects with what it said when it fails. */
export async function run(program: string, ...words: readonly string[]): Promise<string> {
  try {
    const { stdout } = await execute(program, words, { maxBuffer: 1 << 24 });
    return stdout;
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr) : '';
    const out = error instanceof Error && 'stdout' in error ? String(error.stdout) : '';
    throw new Error(`${program} ${words.join(' ')} failed: ${(said + out).slice(-2000) || String(error)}`);
  }
}

/**
 * Asks until the answer is there. Emulation decides how long that takes, so time is only a last bound.
 *
 * @param pause milliseconds between questions: more where asking is work for who is waited for.
 */
export async function until<Answer>(
  what: string,
  seconds: number,
  ask: () => Promise<Answer | undefined> | Answer | undefined,
  pause = 100,
): Promise<Answer> {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > end) throw new Error(`${what}: not within ${seconds} s`);
    await setTimeout(pause);
  }
}

export function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** A program that runs beside the tests, and the lines it has said. */
export class Companion {
  readonly lines: string[] = [];
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;
  #hasEnded = false;

  constructor(program: string, ...words: readonly string[]) {
    this.#child = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'] });
    let rest = '';
    const take = (chunk: Buffer): void => {
      const parts = (rest + chunk.toString()).split('\n');
      rest = parts.pop() ?? '';
      this.lines.push(...parts);
    };
    this.#child.stdout?.on('data', take);
    this.#child.stderr?.on('data', take);
    this.#ended = new Promise((resolve) => this.#child.on('exit', resolve));
    // Only then is all read that it said.
    this.#child.on('close', () => {
      this.#hasEnded = true;
    });
  }

  /** Waits for a line that holds `text`. */
  async said(text: string, seconds = 300): Promise<string> {
    return until(`"${text}" from the program, which said:\n${this.lines.join('\n')}`, seconds, () => {
      const found = this.lines.find((line) => line.includes(text));
      if (found === undefined && this.#hasEnded) {
        throw new Error(`the program ended without "${text}"; it said:\n${this.lines.join('\n')}`);
      }
      return found;
    });
  }

  /** How often the program's main thread went to sleep so far, because it had nothing to do. */
  get sleeps(): number {
    const status = textOf(`/proc/${this.#child.pid}/status`);
    return Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1]);
  }

  /** Whether the program has ended, and all is read that it said. */
  get isOver(): boolean {
    return this.#hasEnded;
  }

  /** The exit code of a program that ends by itself. */
  ended(): Promise<number | null> {
    return this.#ended;
  }

  /** Asks the program to end; its exit code. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.#child.kill(signal);
    return this.#ended;
  }
}
