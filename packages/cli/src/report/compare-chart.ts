import type { Comparison } from '../compare/compare';
import { type DomainCost, journeyOf, type RouteResult } from '../compare/route';
import { roundsInWords, whole } from './figures';

const LABEL_WIDTH = 250;
const PLOT_WIDTH = 560;
const RIGHT_MARGIN = 90;
const ROW = 30;
const BAR = 18;
const GROUP_GAP = 14;
const TOP = 56;

type Role = DomainCost['role'];
const ROLES: readonly Role[] = ['sender', 'dom0', 'receiver'];

/** A page that needs nothing else: two charts of bars, stacked by domain, and the figures as a table. */
export function compareChart(comparison: Comparison): string {
  const { frameBytes, routes, rounds } = comparison;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>netchannel2: what a frame costs</title>
<style>
:root { color-scheme: light dark; --ink: #1c2733; --faint: #6b7885; --rule: #d9dfe5; --paper: #fff;
  --sender: #8fb7d9; --dom0: #d9662b; --receiver: #7cbfa5; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf0; --faint: #9aa7b4; --rule: #37424d; --paper: #161b21;
  --sender: #5f8fb8; --dom0: #e8834f; --receiver: #4f9a80; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto; max-width: 920px; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; } p { color: var(--faint); margin: .2rem 0 1.5rem; }
svg { display: block; width: 100%; height: auto; margin-bottom: 1.5rem; }
text { fill: var(--ink); font-size: 13px; } .faint { fill: var(--faint); } .title { font-weight: 600; font-size: 15px; }
.sender { fill: var(--sender); } .dom0 { fill: var(--dom0); } .receiver { fill: var(--receiver); } line { stroke: var(--rule); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid var(--rule); }
th { color: var(--faint); font-weight: 500; } td:nth-child(-n+3), th:nth-child(-n+3) { text-align: left; }
</style>
<h1>What a frame costs</h1>
<p>${whole(frameBytes)} bytes, all grant tables version 2, domains in one thread, ${roundsInWords(rounds)}. dom0 is the driver domain.</p>
${chart('Nanoseconds of CPU per frame', routes, (cost) => cost.nsPerFrame)}
${chart('Bytes copied per frame, by whose CPU', routes, (cost) => cost.bytesCopiedPerFrame)}
${table(routes)}
</html>
`;
}

function chart(title: string, routes: readonly RouteResult[], value: (cost: DomainCost) => number): string {
  const total = (route: RouteResult) => route.domains.reduce((sum, cost) => sum + value(cost), 0);
  const step = niceStep(Math.max(1, ...routes.map(total)) / 4);
  const most = Math.ceil(Math.max(1, ...routes.map(total)) / step) * step;
  const x = (amount: number) => LABEL_WIDTH + (amount / most) * PLOT_WIDTH;
  let y = TOP;
  const rows: string[] = [];
  for (const [index, route] of routes.entries()) {
    const before = routes[index - 1];
    const isNew = before === undefined || journeyOf(before) !== journeyOf(route);
    if (isNew && index > 0) y += GROUP_GAP;
    if (isNew) rows.push(text(0, y + 14, journeyOf(route), 'title'));
    rows.push(text(LABEL_WIDTH - 12, y + 14, routeName(route), '', 'end'));
    let from = 0;
    for (const cost of route.domains) {
      const amount = value(cost);
      const label = `${cost.role}: ${whole(amount)}`;
      rows.push(
        `<rect class="${cost.role}" x="${x(from).toFixed(1)}" y="${y}" width="${(x(from + amount) - x(from)).toFixed(1)}" height="${BAR}"><title>${label}</title></rect>`,
      );
      from += amount;
    }
    const own = route.domains.find((cost) => cost.role === 'dom0');
    rows.push(text(x(from) + 8, y + 14, `dom0 ${whole(own === undefined ? 0 : value(own))}`, 'faint'));
    y += ROW;
  }
  const grid = Array.from({ length: Math.round(most / step) + 1 }, (_, index) => index * step).map(
    (amount) =>
      `<line x1="${x(amount)}" x2="${x(amount)}" y1="${TOP - 6}" y2="${y}"/>` +
      text(x(amount), y + 16, whole(amount), 'faint', 'middle'),
  );
  const legend = ROLES.map(
    (role, index) =>
      `<rect class="${role}" x="${LABEL_WIDTH + index * 110}" y="28" width="12" height="12"/>` +
      text(LABEL_WIDTH + index * 110 + 18, 39, role, 'faint'),
  );
  const width = LABEL_WIDTH + PLOT_WIDTH + RIGHT_MARGIN;
  return `<svg viewBox="0 0 ${width} ${y + 26}" role="img" aria-label="${title}">${text(0, 16, title, 'title')}${legend.join('')}${grid.join('')}${rows.join('')}</svg>`;
}

function table(routes: readonly RouteResult[]): string {
  const rows = routes.flatMap((route) =>
    route.domains.map(
      (cost) =>
        `<tr><td>${journeyOf(route)}<td>${routeName(route)}<td>${cost.role}<td>${whole(cost.nsPerFrame)}<td>${whole(cost.bytesCopiedPerFrame)}<td>${cost.grantOperationsPerFrame.toFixed(2)}<td>${cost.notificationsPerFrame.toFixed(3)}`,
    ),
  );
  return `<table><tr><th>journey<th>way<th>domain<th>ns<th>bytes copied<th>grant operations<th>notifications${rows.join('')}</table>`;
}

const routeName = (route: RouteResult): string =>
  route.from === route.to ? `${route.class}, ${route.way}` : route.class;

function text(x: number, y: number, content: string, style = '', anchor = 'start'): string {
  return `<text x="${x.toFixed(1)}" y="${y}" class="${style}" text-anchor="${anchor}">${content}</text>`;
}

/** 1, 2 or 5 times a power of ten, at least `least`. */
function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= least) ?? 10 * power;
}
