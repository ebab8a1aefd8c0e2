import { main, type Terminal } from '@netchannel2/cli';

/** What a command line answered. */
export interface Answer {
  readonly exitCode: number;
  readonly out: string;
  readonly error: string;
}

/** Runs `nc2` in this process. */
export async function nc2(...words: readonly string[]): Promise<Answer> {
  const out: string[] = [];
  const error: string[] = [];
  const terminal: Terminal = {
    columns: 100,
    colors: false,
    out: (text) => void out.push(text),
    error: (text) => void error.push(text),
  };
  const exitCode = await main(words, terminal);
  return { exitCode, out: out.join(''), error: error.join('') };
}
