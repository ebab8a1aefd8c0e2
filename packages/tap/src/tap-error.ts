/** Why a TAP cannot be opened; the message says what to do. */
export class TapError extends Error {
  override readonly name = 'TapError';
}
