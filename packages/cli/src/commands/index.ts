import type { RegisterCommand } from './command';
import { registerReplay } from './replay';

/** Every verb of `nc2`, in the order of its help. A new one is a file in this directory and a line here. */
export const COMMANDS: readonly RegisterCommand[] = [registerReplay];
