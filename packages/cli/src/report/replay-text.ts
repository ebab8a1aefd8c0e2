import type { ReplayReport } from '../replay/replay';
import type { DomainFigures, PathResult } from '../replay/run-path';
import type { Paint } from '../terminal';
import { bar, byteCount, figure, whole } from './figures';
import { textTable } from './text-table';

const INDENT = '  ';
const BAR_WIDTH = 36;

/** The comparison `nc2 replay` prints for people. */
export function replayText(report: ReplayReport, paint: Paint): string {
  return [
    heading(report, paint),
    arrivals(report, paint),
    costs(report, paint),
    driverDomain(report, paint),
    verdict(report, paint),
  ]
    .filter((section) => section !== '')
    .join('\n');
}

function heading({ capture, sides, rounds, paths }: ReplayReport, paint: Paint): string {
  const [first] = paths;
  const versions = Object.entries(first?.result.grantTableVersions ?? {});
  const times = rounds === 1 ? 'once' : `${whole(rounds)} times`;
  return [
    `${paint('bold', capture.file)}, ${whole(capture.frames.length)} frames, ${byteCount(capture.byteLength)}, ` +
      `both ways at once, ${times}\n`,
    `${INDENT}guest 1 sends ${whole(sides.guest1.frames.length)} frames of ${sides.guest1.macs.join(', ')}\n`,
    `${INDENT}guest 2 sends ${whole(sides.guest2.frames.length)} frames of ${sides.guest2.macs.join(', ')}\n`,
    `${INDENT}grant tables: ${versions.map(([domid, version]) => `${domainName(Number(domid))} v${version}`).join(', ')}\n`,
  ].join('');
}

function arrivals({ paths }: ReplayReport, paint: Paint): string {
  const rows = paths.map(({ result, bytesSent, seconds }) => [
    paint('bold', result.class),
    whole(result.framesSent),
    byteCount(bytesSent),
    whole(result.framesPerSecond),
    figure((bytesSent * 8) / seconds / 1e9),
    whole(result.framesReceived),
    result.mismatches === 0 && result.framesReceived === result.framesSent
      ? paint('green', 'once, in order, byte for byte')
      : paint('red', `${whole(result.mismatches)} wrong or missing`),
  ]);
  return textTable(
    [
      ['', 'frames', 'bytes', 'frames/s', 'Gbit/s', 'arrived', ''].map((title) => paint('dim', title)),
      ...rows,
    ],
    { align: ['left', 'right', 'right', 'right', 'right', 'right', 'left'], indent: INDENT },
  );
}

interface CostColumn {
  readonly title: string;
  readonly perFrame: (domain: DomainFigures, frames: number) => number;
}

const COST_COLUMNS: readonly CostColumn[] = [
  { title: 'ns', perFrame: (domain) => domain.nsPerFrame },
  { title: 'grant operations', perFrame: (domain, frames) => domain.grantOperations / frames },
  { title: 'bytes copied', perFrame: (domain, frames) => domain.bytesCopied / frames },
  { title: 'notifications', perFrame: (domain, frames) => domain.notifications / frames },
];

function costs({ paths }: ReplayReport, paint: Paint): string {
  const results = paths.map((path) => path.result);
  const rows: string[][] = [
    ['per frame', '', ...COST_COLUMNS.map((column) => column.title)].map((title) => paint('dim', title)),
  ];
  for (const { domid } of results[0]?.domains ?? []) {
    const costsOf = results.map((result) => ({
      label: result.class as string,
      values: COST_COLUMNS.map((column) => costOf(result, domid, column)),
    }));
    for (const [index, { label, values }] of costsOf.entries())
      rows.push([index === 0 ? paint('bold', domainName(domid)) : '', label, ...values.map(figure)]);
    const [vif, vif2] = costsOf;
    if (vif === undefined || vif2 === undefined) continue;
    const ratios = vif.values.map((value, column) => ratio(vif2.values[column] ?? 0, value));
    rows.push(['', `${vif2.label} : ${vif.label}`, ...ratios].map((cell) => paint('dim', cell)));
  }
  return textTable(rows, { align: ['left', 'left'], gap: '   ', indent: INDENT });
}

/** The driver domain's part in all the work: what netchannel2 was invented to shrink. */
function driverDomain({ paths }: ReplayReport, paint: Paint): string {
  const parts = paths.map(({ result }) => {
    const all = result.domains.reduce((sum, domain) => sum + domain.nsPerFrame, 0);
    const own = result.domains.find((domain) => domain.domid === 0)?.nsPerFrame ?? 0;
    return { name: result.class, own, share: all === 0 ? 0 : own / all };
  });
  const most = Math.max(...parts.map((part) => part.own));
  const rows = parts.map(({ name, own, share }) => [
    name,
    `${whole(own)} ns`,
    `${Math.round(share * 100)} %`,
    paint('cyan', bar(own, most, BAR_WIDTH)),
  ]);
  return (
    `${INDENT}${paint('bold', 'dom0')}: its time per frame, and its share of the time of all domains\n` +
    textTable(rows, { align: ['left', 'right', 'right', 'left'], indent: INDENT + INDENT })
  );
}

function verdict({ complaints, paths }: ReplayReport, paint: Paint): string {
  if (complaints.length > 0) return '';
  const crossed = paths.map((path) => path.result.class).join(' and ');
  return `${INDENT}${paint(['green', 'bold'], 'ok')}: every frame crossed ${crossed}; nothing was left behind\n`;
}

function costOf(result: PathResult, domid: number, column: CostColumn): number {
  const domain = result.domains.find((figures) => figures.domid === domid);
  return domain === undefined ? 0 : column.perFrame(domain, Math.max(1, result.framesReceived));
}

const ratio = (part: number, whole: number): string => (whole === 0 ? '' : `${figure(part / whole)} ×`);

const domainName = (domid: number): string => (domid === 0 ? 'dom0' : `guest ${domid}`);
