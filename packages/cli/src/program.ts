import { readFileSync } from 'node:fs';
import { CaptureError } from '@netchannel2/bridge';
import { Command, CommanderError } from 'commander';
import { CommandFailure, ExitCode } from './command-failure';
import { loadCommands } from './commands';
import type { Terminal } from './terminal';

/** `nc2`'s command line. @param verb the only one wanted. Default: all there are. */
export async function createProgram(terminal: Terminal, verb?: string): Promise<Command> {
  const program = new Command('nc2')
    .description('Xen split network drivers, vif and vif2, on a simulated or a real Xen.')
    .version(version(), '-V, --version', 'Print the version.')
    .helpOption('-h, --help', 'Show help.')
    .helpCommand('help [command]', 'Show help for a command.')
    .configureOutput({
      writeOut: (text) => terminal.out(text),
      writeErr: (text) => terminal.error(text),
      getOutHelpWidth: () => terminal.columns,
      getErrHelpWidth: () => terminal.columns,
    })
    .exitOverride();
  for (const register of await loadCommands(verb)) register(program, terminal);
  return program;
}

/**
 * Runs one command line.
 *
 * @param words without the names of interpreter and script.
 * @returns the exit code. Nothing is thrown: what went wrong was said on the terminal.
 */
export async function main(words: readonly string[], terminal: Terminal): Promise<number> {
  try {
    const program = await createProgram(terminal, words[0]);
    await program.parseAsync(words, { from: 'user' });
    return ExitCode.ok;
  } catch (error) {
    return report(error, terminal);
  }
}

function report(error: unknown, terminal: Terminal): number {
  // Commander has said what it has to say.
  if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.ok : ExitCode.refused;
  if (error instanceof CaptureError) {
    terminal.error(`nc2: ${error.message}\n`);
    return ExitCode.refused;
  }
  if (error instanceof CommandFailure) {
    terminal.error(`nc2: ${error.message}\n`);
    return error.exitCode;
  }
  const detail = process.env.DEBUG !== undefined && error instanceof Error ? error.stack : undefined;
  terminal.error(`nc2: ${detail ?? (error instanceof Error ? error.message : String(error))}\n`);
  return ExitCode.failed;
}

function version(): string {
  // One directory up from here, in the sources as in the build.
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest
    ? String(manifest.version)
    : 'unknown';
}
