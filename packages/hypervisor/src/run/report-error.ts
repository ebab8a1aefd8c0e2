/**
 * An exception of a driver or a user's subscriber must neither stop the other domains nor vanish: it is thrown again
 * from a task of its own, as RxJS does.
 */
export function reportError(error: unknown): void {
  setTimeout(() => {
    throw error;
  });
}
