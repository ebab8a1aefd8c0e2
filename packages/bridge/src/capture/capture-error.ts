/** A capture file that cannot be used, and why. */
export class CaptureError extends Error {
  override readonly name = 'CaptureError';

  constructor(
    readonly file: string,
    readonly reason: string,
    /** Where in the file, when the file could be opened. */
    readonly offset?: number,
  ) {
    super(offset === undefined ? `${file}: ${reason}` : `${file}: at byte ${offset}: ${reason}`);
  }
}
