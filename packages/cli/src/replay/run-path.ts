import type { DeviceClass } from '@netchannel2/device-registry';
import type { DomainAccounting, Frame } from '@netchannel2/xen';
import { type Subscription, take } from 'rxjs';
import { cross } from './crossing';
import type { Scenario } from './scenario';
import type { TwoSides } from './two-sides';

/** What a domain did while frames crossed. */
export interface DomainFigures {
  readonly domid: number;
  readonly nsPerFrame: number;
  readonly grantOperations: number;
  /** By the domain or for it. */
  readonly bytesCopied: number;
  readonly notifications: number;
}

/** What came of the frames on one class of device. */
export interface PathResult {
  readonly class: DeviceClass;
  /** In use, by domain id. */
  readonly grantTableVersions: Readonly<Record<string, 1 | 2>>;
  readonly framesSent: number;
  readonly framesReceived: number;
  /** Frames that were lost, changed, out of place or not sent at all; those of the warm-up count too. */
  readonly mismatches: number;
  readonly framesPerSecond: number;
  readonly domains: readonly DomainFigures[];
}

export interface PathRun {
  readonly result: PathResult;
  /** Bytes of all frames sent. */
  readonly bytesSent: number;
  readonly seconds: number;
  /** What was wrong first, per direction. */
  readonly complaints: readonly string[];
}

export interface PathRunOptions {
  /** How often each side's frames are sent. */
  readonly rounds: number;
  /** Rounds before, checked but not counted, for the compiler to learn the path. */
  readonly warmUp: number;
  /** Shown what guest 2 received in the very first round. */
  readonly record?: ((frame: Frame) => void) | undefined;
}

/** Replays both directions at once over the devices of one class. */
export async function runPath(
  scenario: Scenario,
  deviceClass: DeviceClass,
  sides: TwoSides,
  options: PathRunOptions,
): Promise<PathRun> {
  const { rounds, warmUp, record } = options;
  const ends = scenario.ends(deviceClass);
  const settled = () => scenario.machine.idle();
  // Addresses learned on the other class's ports would send the first frames there.
  scenario.bridge.forget();
  await settled();
  const recording: Subscription | undefined =
    record && ends[1].port.frames$.pipe(take(sides.guest1.frames.length)).subscribe(record);
  const warm = warmUp > 0 ? await cross(ends, sides, warmUp, settled) : undefined;
  const before = scenario.domains.map((domain) => accountingOf(scenario, domain.id));
  const crossing = await cross(ends, sides, rounds, settled);
  recording?.unsubscribe();
  const { sent, received, seconds } = crossing;
  const frames = [...sides.guest1.frames, ...sides.guest2.frames];
  return {
    result: {
      class: deviceClass,
      grantTableVersions: Object.fromEntries(
        scenario.domains.map((domain) => [domain.id, domain.grants.version]),
      ),
      framesSent: sent,
      framesReceived: received,
      mismatches: crossing.mismatches + (warm?.mismatches ?? 0),
      framesPerSecond: Math.round(received / seconds),
      domains: scenario.domains.map((domain, index) =>
        figures(domain.id, received, before[index], accountingOf(scenario, domain.id)),
      ),
    },
    bytesSent: frames.reduce((sum, frame) => sum + frame.bytes.byteLength, 0) * rounds,
    seconds,
    complaints: [
      ...(warm?.complaints.map((complaint) => `in the warm-up, ${complaint}`) ?? []),
      ...crossing.complaints,
    ],
  };
}

function accountingOf(scenario: Scenario, domid: number): DomainAccounting {
  const accounting = scenario.machine.accounting(domid);
  if (accounting === undefined) throw new Error(`domain ${domid} is gone`);
  return accounting;
}

function figures(
  domid: number,
  frames: number,
  before: DomainAccounting | undefined,
  after: DomainAccounting,
): DomainFigures {
  const grown = (read: (accounting: DomainAccounting) => number) =>
    read(after) - (before === undefined ? 0 : read(before));
  return {
    domid,
    nsPerFrame: Math.round(grown((accounting) => accounting.cpuNanoseconds) / Math.max(1, frames)),
    grantOperations: grown((accounting) => accounting.grantOperations),
    bytesCopied: grown((accounting) => accounting.bytesCopiedBy + accounting.bytesCopiedFor),
    notifications: grown((accounting) => accounting.notifications),
  };
}
