/** What `nc2` answers to the shell. */
export const ExitCode = {
  ok: 0,
  /** It ran, and the result is bad: a frame was lost, something leaked. */
  failed: 1,
  /** It did not run: wrong usage, a file that cannot be used. */
  refused: 2,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** Ends a command with a message for people and an exit code for scripts. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure';

  constructor(
    readonly exitCode: ExitCode,
    message: string,
  ) {
    super(message);
  }
}
