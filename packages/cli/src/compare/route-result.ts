import type { DomainCost, Route, RouteResult } from './route';
import { median, medianRatio } from './statistics';

/** What one domain did in one round. */
export interface DomainRound {
  readonly role: DomainCost['role'];
  readonly cpuNanoseconds: number;
  readonly bytesCopied: number;
  readonly grantOperations: number;
  readonly notifications: number;
}

/** What one route took in one round. */
export interface RouteRound {
  readonly frames: number;
  readonly seconds: number;
  /** The same domains in the same order in every round. */
  readonly domains: readonly DomainRound[];
}

type Count = 'bytesCopied' | 'grantOperations' | 'notifications';

/** Times are the median of the rounds; counts, which do not depend on the machine, those of all rounds together. */
export function routeResult(route: Route, rounds: readonly RouteRound[]): RouteResult {
  const frames = rounds.reduce((sum, round) => sum + round.frames, 0);
  const roles = rounds[0]?.domains.map(({ role }) => role) ?? [];
  const domains = roles.map((role, index): DomainCost => {
    const perFrame = (count: Count, digits: number): number => {
      const total = rounds.reduce((sum, round) => sum + (round.domains[index]?.[count] ?? 0), 0);
      return Number((total / frames).toFixed(digits));
    };
    return {
      role,
      nsPerFrame: Math.round(median(rounds.map((round) => nanosecondsOf(round, role)))),
      bytesCopiedPerFrame: perFrame('bytesCopied', 0),
      grantOperationsPerFrame: perFrame('grantOperations', 3),
      notificationsPerFrame: perFrame('notifications', 4),
    };
  });
  const framesPerSecond = Math.round(median(rounds.map((round) => round.frames / round.seconds)));
  return { ...route, frames, framesPerSecond, domains };
}

/**
 * The share of dom0's time per frame that one route saves against another: the median over rounds of what it saved in each.
 * 0 where the other costs dom0 nothing.
 */
export function dom0Saving(rounds: readonly RouteRound[], against: readonly RouteRound[]): number {
  const costs = (route: readonly RouteRound[]) => route.map((round) => nanosecondsOf(round, 'dom0'));
  return Number((1 - (medianRatio(costs(rounds), costs(against)) ?? 1)).toFixed(3));
}

function nanosecondsOf(round: RouteRound, role: DomainRound['role']): number {
  const domain = round.domains.find((one) => one.role === role);
  return (domain?.cpuNanoseconds ?? 0) / round.frames;
}
