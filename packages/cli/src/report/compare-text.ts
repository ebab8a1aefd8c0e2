import type { Comparison } from '../compare/compare';
import { type DomainCost, dom0Cost, journeyOf, type RouteResult } from '../compare/route';
import type { Paint } from '../terminal';
import { bar, figure, roundsInWords, whole } from './figures';
import { textTable } from './text-table';

const INDENT = '  ';
const BAR_WIDTH = 24;

/** The comparison `nc2 compare` prints for people: what a frame costs whom, by every route. */
export function compareText(comparison: Comparison, paint: Paint): string {
  const { frameBytes, routes, rounds } = comparison;
  return (
    `${paint('bold', 'What a frame costs')}, ${whole(frameBytes)} bytes, all grant tables v2, ${roundsInWords(rounds)}\n\n` +
    textTable(
      [
        ['', '', '', 'ns', 'bytes copied', 'grant ops', 'events sent', 'frames/s'].map((title) =>
          paint('dim', title),
        ),
        ...routes.flatMap((route, index) => routeRows(route, routes[index - 1], paint)),
      ],
      { align: ['left', 'left', 'left'], indent: INDENT },
    ) +
    `\n${INDENT}${paint('bold', 'dom0')}: nanoseconds per frame\n` +
    driverDomain(routes, paint) +
    `\n${headline(comparison, paint)}`
  );
}

function routeRows(route: RouteResult, previous: RouteResult | undefined, paint: Paint): string[][] {
  const isFirst = previous === undefined || journeyOf(previous) !== journeyOf(route);
  const name = route.from === route.to ? `${route.class} ${route.way}` : route.class;
  return route.domains.map((domain, index) => [
    isFirst && index === 0 ? paint('bold', journeyOf(route)) : '',
    index === 0 ? name : '',
    domain.role === 'dom0' ? paint('cyan', domain.role) : domain.role,
    ...costCells(domain),
    index === 0 ? whole(route.framesPerSecond) : '',
  ]);
}

const costCells = (domain: DomainCost): string[] => [
  whole(domain.nsPerFrame),
  whole(domain.bytesCopiedPerFrame),
  figure(domain.grantOperationsPerFrame),
  figure(domain.notificationsPerFrame),
];

function driverDomain(routes: readonly RouteResult[], paint: Paint): string {
  const most = Math.max(...routes.map((route) => dom0Cost(route).nsPerFrame));
  const rows = routes.map((route) => {
    const cost = dom0Cost(route).nsPerFrame;
    const name = route.from === route.to ? `${route.class} ${route.way}` : route.class;
    return [journeyOf(route), name, whole(cost), paint('cyan', bar(cost, most, BAR_WIDTH))];
  });
  return textTable(rows, { align: ['left', 'left', 'right', 'left'], indent: INDENT + INDENT });
}

function headline({ dom0Saves }: Comparison, paint: Paint): string {
  const percent = (share: number): string =>
    paint('bold', share >= 0 ? `${Math.round(share * 100)} % less` : `${Math.round(-share * 100)} % more`);
  const rows = [
    ['a guest receives from it', percent(dom0Saves.dom0ToGuest)],
    ['it receives from a guest', percent(dom0Saves.guestToDom0)],
    ['guests exchange, by transitive grants', percent(dom0Saves.guestToGuest)],
    ['guests exchange, over a bypass', percent(dom0Saves.guestToGuestBypassed)],
  ];
  return (
    `${INDENT}With vif2 instead of vif, dom0 spends on what …\n` +
    textTable(rows, { align: ['left', 'right'], gap: '   ', indent: INDENT + INDENT })
  );
}
