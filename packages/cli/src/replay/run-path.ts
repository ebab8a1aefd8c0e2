import type { DeviceClass } from '@netchannel2/device-registry';
import type { DomainAccounting, Frame } from '@netchannel2/xen';
import { type Subscription, take } from 'rxjs';
import { Replayer } from './replayer';
import type { Scenario } from './scenario';
import type { TwoSides } from './two-sides';
import { Verifier } from './verifier';

/** Without an arrival for so long (milliseconds) a replay is over. */
const STALL_TIME = 3_000;

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
  /** Shown what guest 2 received in the first round. */
  readonly record?: ((frame: Frame) => void) | undefined;
}

/** Replays both directions at once over the devices of one class. */
export async function runPath(
  scenario: Scenario,
  deviceClass: DeviceClass,
  sides: TwoSides,
  options: PathRunOptions,
): Promise<PathRun> {
  const { rounds, record } = options;
  const [end1, end2] = scenario.ends(deviceClass);
  // Addresses learned on the other class's ports would send the first frames there.
  scenario.bridge.forget();
  await scenario.machine.idle();
  const before = scenario.domains.map((domain) => accountingOf(scenario, domain.id));
  const verifiers = [
    new Verifier('guest 1 to guest 2', sides.guest1.frames, rounds),
    new Verifier('guest 2 to guest 1', sides.guest2.frames, rounds),
  ] as const;
  const recording: Subscription | undefined =
    record && end2.port.frames$.pipe(take(sides.guest1.frames.length)).subscribe(record);
  const started = performance.now();
  const replayers = await new Promise<readonly Replayer[]>((resolve) => {
    let progress = 0;
    const received = () => verifiers[0].received + verifiers[1].received;
    const watchdog = setInterval(() => {
      if (received() === progress) end();
      progress = received();
    }, STALL_TIME);
    const end = () => {
      clearInterval(watchdog);
      resolve(both);
    };
    const completed = () => {
      if (verifiers.every((verifier) => verifier.complete)) end();
    };
    const both = [
      new Replayer(end1, sides.guest1.frames, rounds, verifiers[0], completed),
      new Replayer(end2, sides.guest2.frames, rounds, verifiers[1], completed),
    ];
    both[0]?.start(end2);
    both[1]?.start(end1);
  });
  const seconds = (performance.now() - started) / 1000;
  // Frames that should not come, come now; and the figures of all domains are complete.
  await scenario.machine.idle();
  for (const replayer of replayers) replayer.stop();
  recording?.unsubscribe();
  for (const verifier of verifiers) verifier.finish();
  const framesReceived = sum(verifiers.map((verifier) => verifier.received));
  const byteLength = sum(
    [...sides.guest1.frames, ...sides.guest2.frames].map(({ bytes }) => bytes.byteLength),
  );
  return {
    result: {
      class: deviceClass,
      grantTableVersions: Object.fromEntries(
        scenario.domains.map((domain) => [domain.id, domain.grants.version]),
      ),
      framesSent: sum(replayers.map((replayer) => replayer.sent)),
      framesReceived,
      mismatches: sum(verifiers.map((verifier) => verifier.mismatches)),
      framesPerSecond: Math.round(framesReceived / seconds),
      domains: scenario.domains.map((domain, index) =>
        figures(domain.id, framesReceived, before[index], accountingOf(scenario, domain.id)),
      ),
    },
    bytesSent: byteLength * rounds,
    seconds,
    complaints: verifiers.flatMap(({ firstMismatch }) =>
      firstMismatch === undefined ? [] : [firstMismatch],
    ),
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

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
