import { execFile, type SpawnOptions, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { expect } from 'vitest';

/** Whether Debian's package xenstore-utils is there. */
export const toolsInstalled = (process.env.PATH ?? '').split(delimiter).some((directory) => {
  try {
    accessSync(join(directory, 'xenstore-ls'), constants.X_OK);
    return true;
  } catch {
    return false;
  }
});

export const toolsTitle = (title: string) =>
  toolsInstalled ? title : `${title} (not run: install the package xenstore-utils)`;

/** Debian's xenstore-* on one socket, found by nothing but `XENSTORED_PATH`. */
export class DebianTools {
  readonly #environment: NodeJS.ProcessEnv;

  constructor(socket: string) {
    this.#environment = { ...process.env, XENSTORED_PATH: socket };
  }

  run(tool: string, ...words: readonly string[]): Promise<{ status: number; output: string }> {
    const options = { env: this.#environment, timeout: 20_000 };
    return new Promise((resolve) => {
      execFile(`xenstore-${tool}`, words, options, (error, stdout, stderr) => {
        const status = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
        resolve({ status, output: stdout + stderr });
      });
    });
  }

  /** The output of a tool that succeeds. */
  async output(tool: string, ...words: readonly string[]): Promise<string> {
    const { status, output } = await this.run(tool, ...words);
    expect(status, output).toBe(0);
    return output;
  }

  /** `xenstore-watch` in the background. */
  watch(count: number, ...paths: readonly string[]) {
    const options: SpawnOptions = { env: this.#environment, stdio: ['ignore', 'pipe', 'inherit'] };
    const child = spawn('xenstore-watch', ['-n', String(count), ...paths], options);
    let seen = '';
    let first = () => {};
    const started = new Promise<void>((resolve) => {
      first = resolve;
    });
    child.stdout?.on('data', (chunk: Buffer) => {
      seen += chunk.toString();
      first();
    });
    const lines = new Promise<string[]>((resolve) =>
      child.once('close', () => resolve(seen.trimEnd().split('\n'))),
    );
    return { started, lines };
  }
}
