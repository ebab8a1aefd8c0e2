import type { Capture, FaultOptions } from '@netchannel2/bridge';
import type { DeviceClass } from '@netchannel2/device-registry';
import type { ReceivedCapture } from './received-capture';
import { type PathRun, runPath } from './run-path';
import { type GrantTableVersion, Scenario } from './scenario';
import { splitSides, type TwoSides } from './two-sides';

export interface ReplayOptions {
  readonly capture: Capture;
  /** Run in this order. */
  readonly classes: readonly DeviceClass[];
  /** How often the capture crosses each class of device. */
  readonly rounds: number;
  /** Rounds before that, checked but left out of the figures. Default 0. */
  readonly warmUp?: number;
  readonly versions: GrantTableVersions;
  /** Where what guest 2 receives in the first round is recorded. */
  readonly received?: ReceivedCapture | undefined;
  /** A bad wire between each backend and the bridge, to see that the check finds what it does. Default: none. */
  readonly faults?: FaultOptions | undefined;
}

/** The versions the domains' kernels choose. */
export interface GrantTableVersions {
  readonly dom0: GrantTableVersion;
  readonly guest1: GrantTableVersion;
  readonly guest2: GrantTableVersion;
}

export interface ReplayReport {
  /** Every frame arrived once, in order, byte for byte, and nothing was left behind. */
  readonly ok: boolean;
  readonly capture: Capture;
  readonly sides: TwoSides;
  readonly rounds: number;
  readonly paths: readonly PathRun[];
  /** What is wrong, in words; empty when all is well. */
  readonly complaints: readonly string[];
}

/**
 * The main job: boots a simulated Xen with dom0 and two guests, attaches devices of each class through the registry, and
 * replays a capture between the guests over one class after the other.
 *
 * @throws CaptureError when the capture cannot be replayed between two guests.
 */
export async function replay(options: ReplayOptions): Promise<ReplayReport> {
  const { capture, classes, rounds, warmUp = 0, versions, received } = options;
  const sides = splitSides(capture);
  const guest = (side: TwoSides['guest1'], grantTableVersion: GrantTableVersion) => ({
    grantTableVersion,
    mac: side.macs[0] ?? '',
    severalMacs: side.macs.length > 1,
  });
  const scenario = await Scenario.start({
    classes,
    dom0Version: versions.dom0,
    faults: options.faults,
    guest1: guest(sides.guest1, versions.guest1),
    guest2: guest(sides.guest2, versions.guest2),
  });
  const paths: PathRun[] = [];
  for (const deviceClass of classes) {
    const record = received?.on(deviceClass);
    paths.push(await runPath(scenario, deviceClass, sides, { rounds, warmUp, record }));
  }
  const leaks = await scenario.stop();
  const complaints = [
    ...paths.flatMap((path) => path.complaints.map((complaint) => `${path.result.class}: ${complaint}`)),
    ...leaks.map((leak) => `left behind: ${leak}`),
  ];
  return { ok: complaints.length === 0, capture, sides, rounds, paths, complaints };
}
