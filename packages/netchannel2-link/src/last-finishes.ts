import type { SchedulerLike } from 'rxjs';
import type { Vif2Link } from './link';

/** How long an end that closes waits for its peer, in milliseconds (spec vif2.md §8.2). */
export const CLOSE_MILLISECONDS = 1000;

/**
 * Waits until the peers of `links`, which wind down, have taken and finished all they were sent: their last frames are not
 * lost. A second is the most; a link that fails or stops is not waited for any longer.
 *
 * @returns `undefined` when there is nothing to wait for.
 */
export function lastFinishes(
  links: readonly Vif2Link[],
  scheduler: SchedulerLike,
): Promise<void> | undefined {
  const waiting = new Set(links.filter((link) => !link.settled));
  if (waiting.size === 0) return undefined;
  return new Promise((resolve) => {
    const timer = scheduler.schedule(() => resolve(), CLOSE_MILLISECONDS);
    for (const link of [...waiting]) {
      link.onSettled(() => {
        waiting.delete(link);
        if (waiting.size > 0) return;
        timer.unsubscribe();
        resolve();
      });
    }
  });
}
