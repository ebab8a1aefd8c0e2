/** A device description that cannot be used; the message says which part and what it should be. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
}
