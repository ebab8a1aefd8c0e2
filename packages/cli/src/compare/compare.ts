import { withAll } from './all-at-once';
import { roundsOf, takeTurns } from './rounds';
import { type Place, ROUTES, type RouteResult, type Way } from './route';
import { dom0Saving, type RouteRound, routeResult } from './route-result';
import { RouteUnderTest } from './route-under-test';

export interface CompareOptions {
  readonly frameBytes: number;
  /** On each route, over all rounds. */
  readonly frames: number;
  /** Frames before that, for the compiler to learn all paths. */
  readonly warmUp: number;
}

/** What `nc2 compare --json` prints. */
export interface Comparison {
  readonly frameBytes: number;
  /** Every route ran once in each. */
  readonly rounds: number;
  readonly routes: readonly RouteResult[];
  /**
   * What the driver domain saves with vif2 against vif, as a share of its time per frame: 0.5 is half. The median of what it
   * saved in each round, so not quite what the routes' own medians would give.
   */
  readonly dom0Saves: {
    readonly guestToDom0: number;
    readonly dom0ToGuest: number;
    readonly guestToGuest: number;
    readonly guestToGuestBypassed: number;
  };
}

/**
 * Measures what each frame costs the sender, the driver domain and the receiver by every route. Each route has a host of its
 * own, all hosts are up at once, and the routes take turns: a machine that is slow for seconds is so for all of them.
 *
 * @throws Error when frames are lost, LeakError when something is left behind.
 */
export async function compare({ frameBytes, frames, warmUp }: CompareOptions): Promise<Comparison> {
  const rounds = roundsOf(frames, frameBytes);
  const measured = await withAll(
    ROUTES,
    (route) => RouteUnderTest.boot(route, frameBytes),
    async (routes) => {
      await takeTurns(routes, roundsOf(warmUp, frameBytes));
      return takeTurns(routes, rounds);
    },
  );
  const saved = (from: Place, to: Place, way: Way): number =>
    dom0Saving(roundsBy('vif2', from, to, way), roundsBy('vif', from, to, 'copy'));
  const roundsBy = (...[deviceClass, from, to, way]: [string, Place, Place, Way]): readonly RouteRound[] => {
    const index = ROUTES.findIndex(
      (route) => route.class === deviceClass && route.from === from && route.to === to && route.way === way,
    );
    return measured[index] ?? [];
  };
  return {
    frameBytes,
    rounds: rounds.length,
    routes: ROUTES.map((route, index) => routeResult(route, measured[index] ?? [])),
    dom0Saves: {
      guestToDom0: saved('guest', 'dom0', 'copy'),
      dom0ToGuest: saved('dom0', 'guest', 'copy'),
      guestToGuest: saved('guest', 'guest', 'transitive'),
      guestToGuestBypassed: saved('guest', 'guest', 'bypass'),
    },
  };
}
