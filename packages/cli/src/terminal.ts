import { styleText } from 'node:util';

/** Where a command's words go. Tests give one of their own. */
export interface Terminal {
  /** Characters in a line, for output to people. */
  readonly columns: number;
  /** Whether standard output takes colours. */
  readonly colors: boolean;
  /** Standard output: results. Text ends where its line ends. */
  out(text: string): void;
  /** Standard error: progress, complaints. */
  error(text: string): void;
  /** Resolves when a command that runs until it is stopped has to stop. Default: at SIGINT or SIGTERM. */
  stopped?(): Promise<void>;
}

/** Widest line used although the terminal has room for more: wider tables are hard to read. */
const COLUMNS_MAX = 100;

/** The terminal of this process. */
export function processTerminal(): Terminal {
  const { stdout, stderr } = process;
  // A reader that has seen enough (`nc2 … | head`) is not an error.
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  return {
    columns: Math.min(stdout.columns ?? COLUMNS_MAX, COLUMNS_MAX),
    colors: takesColors(stdout.isTTY === true, process.env),
    out: (text) => void stdout.write(text),
    error: (text) => void stderr.write(text),
  };
}

/** The conventions of no-color.org and of `FORCE_COLOR`. */
export function takesColors(isTty: boolean, environment: NodeJS.ProcessEnv): boolean {
  if (environment.NO_COLOR) return false;
  if (environment.FORCE_COLOR !== undefined) return environment.FORCE_COLOR !== '0';
  return isTty && environment.TERM !== 'dumb';
}

export type Style = Parameters<typeof styleText>[0];

/** Applies styles where the terminal shows them. */
export type Paint = (style: Style, text: string) => string;

export function paintFor(terminal: Terminal): Paint {
  return terminal.colors ? styleText : (_style, text) => text;
}
