import { type MeasureOptions, measureRoute } from './measure-route';
import { dom0Cost, ROUTES, type RouteResult } from './route';

/** What `nc2 compare --json` prints. */
export interface Comparison {
  readonly frameBytes: number;
  readonly routes: readonly RouteResult[];
  /** What the driver domain saves with vif2 against vif, as a share of its time per frame: 0.5 is half. */
  readonly dom0Saves: {
    readonly guestToDom0: number;
    readonly dom0ToGuest: number;
    readonly guestToGuest: number;
    readonly guestToGuestBypassed: number;
  };
}

/**
 * Measures every route on a host of its own: what each frame costs the sender, the driver domain and the receiver.
 *
 * @param measured told of each route when it is done.
 * @throws Error when frames are lost, LeakError when something is left behind.
 */
export async function compare(
  options: MeasureOptions,
  measured: (result: RouteResult) => void = () => {},
): Promise<Comparison> {
  const routes: RouteResult[] = [];
  for (const route of ROUTES) {
    const result = await measureRoute(route, options);
    routes.push(result);
    measured(result);
  }
  const cost = (matches: (route: RouteResult) => boolean): number => {
    const found = routes.find(matches);
    return found === undefined ? 0 : dom0Cost(found).nsPerFrame;
  };
  const saved = (from: string, to: string, way: string): number => {
    const journey = (route: RouteResult) => route.from === from && route.to === to;
    const vif = cost((route) => journey(route) && route.class === 'vif');
    const vif2 = cost((route) => journey(route) && route.class === 'vif2' && route.way === way);
    return vif === 0 ? 0 : Number((1 - vif2 / vif).toFixed(3));
  };
  return {
    frameBytes: options.frameBytes,
    routes,
    dom0Saves: {
      guestToDom0: saved('guest', 'dom0', 'copy'),
      dom0ToGuest: saved('dom0', 'guest', 'copy'),
      guestToGuest: saved('guest', 'guest', 'transitive'),
      guestToGuestBypassed: saved('guest', 'guest', 'bypass'),
    },
  };
}
