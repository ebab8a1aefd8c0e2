import { existsSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { CommandFailure, ExitCode } from '../command-failure';

/** Creates an output file, and its directory. @returns its descriptor. @throws CommandFailure when it cannot be written. */
export function openOutput(file: string): number {
  try {
    makeDirectory(dirname(file));
    return openSync(file, 'w');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CommandFailure(ExitCode.refused, `${file} cannot be written: ${reason}`);
  }
}

/** Step by step: Node's recursive mkdir never returns on file systems that answer ENOENT for a parent that exists. */
function makeDirectory(path: string): void {
  if (existsSync(path)) return;
  makeDirectory(dirname(path));
  mkdirSync(path);
}
