import type { Command } from 'commander';
import type { Terminal } from '../terminal';

/**
 * Adds one verb to the program: its arguments, options, help and action. An action writes to the terminal only, throws
 * `CommandFailure` to end with another exit code than 0, and leaves nothing running when it returns.
 */
export type RegisterCommand = (program: Command, terminal: Terminal) => void;
