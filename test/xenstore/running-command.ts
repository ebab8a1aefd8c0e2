import { main, type Terminal } from '@netchannel2/cli';

/** A command that runs until it is stopped. */
export interface RunningCommand {
  /** Its first line: it is ready. */
  readonly ready: Promise<string>;
  /** Everything it wrote so far. */
  readonly out: () => string;
  readonly error: () => string;
  /** What a signal would do; answers the exit code. */
  stop(): Promise<number>;
  readonly exited: Promise<number>;
}

/** Starts `nc2` in this process. */
export function start(...words: readonly string[]): RunningCommand {
  const out: string[] = [];
  const error: string[] = [];
  let stop = () => {};
  let ready = (_line: string) => {};
  const stopped = new Promise<void>((resolve) => {
    stop = resolve;
  });
  const first = new Promise<string>((resolve) => {
    ready = resolve;
  });
  const terminal: Terminal = {
    columns: 100,
    colors: false,
    out: (text) => {
      out.push(text);
      ready(text);
    },
    error: (text) => void error.push(text),
    stopped: () => stopped,
  };
  const exited = main(words, terminal);
  return {
    ready: Promise.race([first, exited.then((code) => `exit ${code}: ${error.join('')}`)]),
    out: () => out.join(''),
    error: () => error.join(''),
    exited,
    stop() {
      stop();
      return exited;
    },
  };
}

/** Runs `nc2` to its end. */
export async function nc2(
  ...words: readonly string[]
): Promise<{ code: number; out: string; error: string }> {
  const command = start(...words);
  const code = await command.exited;
  return { code, out: command.out(), error: command.error() };
}
