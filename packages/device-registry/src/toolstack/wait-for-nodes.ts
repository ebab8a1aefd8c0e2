import type { XenStore } from '@netchannel2/xen';
import { merge, type SchedulerLike } from 'rxjs';
import { PassLoop } from '../pass-loop';

/**
 * Looks at the store now and whenever one of `paths` changes, until `look` answers something.
 *
 * @param timeout milliseconds.
 * @returns `undefined` when the time is over. What `look` throws is passed on. No watch or timer is left.
 */
export function waitForNodes<Answer>(
  store: XenStore,
  scheduler: SchedulerLike,
  paths: readonly string[],
  timeout: number,
  look: () => Promise<Answer | undefined>,
): Promise<Answer | undefined> {
  return new Promise((resolve, reject) => {
    const loop = new PassLoop(async () => {
      try {
        const answer = await look();
        if (answer !== undefined) finish(() => resolve(answer));
      } catch (error) {
        finish(() => reject(error));
      }
    });
    const timer = scheduler.schedule(() => finish(() => resolve(undefined)), timeout);
    const watches = merge(...paths.map((path) => store.watch(path))).subscribe({
      next: () => loop.request(),
      error: (error: unknown) => finish(() => reject(error)),
    });
    const finish = (settle: () => void): void => {
      loop.stop();
      timer.unsubscribe();
      watches.unsubscribe();
      settle();
    };
  });
}
