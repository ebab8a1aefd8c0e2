import type { Terminal } from './terminal';

/** Resolves when a command that runs until it is stopped has to stop. A second signal ends the process at once. */
export function untilStopped(terminal: Terminal): Promise<void> {
  if (terminal.stopped !== undefined) return terminal.stopped();
  return new Promise((resolve) => {
    const stop = () => {
      process.off('SIGINT', stop);
      process.off('SIGTERM', stop);
      resolve();
    };
    process.on('SIGINT', stop);
    process.on('SIGTERM', stop);
  });
}
