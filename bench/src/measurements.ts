/**
 * Everything that can be measured, by name. A run measures each in a process of its own: what the compiler learned from one
 * path neither helps nor hurts the next. Only what two paths cost dom0 is compared within one.
 */
import { Machine } from '@netchannel2/hypervisor';
import { memoryCopyRate } from './baselines/memory-copy';
import { type Mover, REFERENCE_NANOSECONDS, YARDSTICK_BYTES } from './baselines/reference-machine';
import { structuredCloneRate } from './baselines/structured-clone';
import { yardstickRate } from './baselines/yardstick';
import { type GrantOperation, oneThreadGrantRate, twoWorkersGrantRate } from './grants/operations';
import { type CostRatio, type Measured, measuredOf } from './measured';
import { dom0CostOverVif } from './paths/dom0-cost';
import { RECEIVER_MAP_WIRINGS, WIRINGS } from './paths/drivers';
import { guestToGuestRate } from './paths/guest-to-guest';
import { oneThreadRate } from './paths/one-thread';
import { twoWorkersRate } from './paths/two-workers';
import type { Rate, RateOptions } from './rate';

export const DEVICE_CLASSES = ['vif', 'vif2'] as const;
export const FRAME_BYTES = [64, 256, 1514, 4096] as const;

export type Measure = (options: RateOptions) => Promise<Measured>;

const rate =
  (measure: (options: RateOptions) => Promise<Rate>): Measure =>
  async (options) =>
    measuredOf(await measure(options));

async function copyRate(frameBytes: number, options: RateOptions): Promise<Rate> {
  const machine = Machine.boot({ memoryBytes: 16 << 20 });
  const { memory } = machine.createDomain({ memoryPages: 256 });
  const perSecond = await memoryCopyRate(memory, frameBytes, options);
  machine.shutdown();
  return perSecond;
}

function* frameMeasurements(): Generator<readonly [string, Measure]> {
  for (const bytes of FRAME_BYTES) {
    yield [`memcpy/${bytes}`, rate((options) => copyRate(bytes, options))];
    yield [`structuredClone/${bytes}`, rate((options) => structuredCloneRate(bytes, options))];
    for (const deviceClass of DEVICE_CLASSES) {
      const path = `${deviceClass}/${bytes}`;
      const oneThread = (direction: 'to-dom0' | 'from-dom0') =>
        rate((options) => oneThreadRate(WIRINGS[deviceClass], direction, bytes, options));
      yield [`${path}/one-thread`, oneThread('to-dom0')];
      yield [`${path}/one-thread/from-dom0`, oneThread('from-dom0')];
      yield [`${path}/one-thread/guest-to-guest`, (options) => guestToGuestRate(deviceClass, bytes, options)];
      yield [`${path}/two-workers`, rate((options) => twoWorkersRate(deviceClass, bytes, options))];
    }
  }
}

/** Lengths of frames that are sent as `receiver_map`. */
export const RECEIVER_MAP_BYTES = [1514, 4096] as const;

function* receiverMapMeasurements(): Generator<readonly [string, Measure]> {
  for (const bytes of RECEIVER_MAP_BYTES) {
    for (const [name, wiring] of RECEIVER_MAP_WIRINGS) {
      const measure = rate((options) => oneThreadRate(wiring, 'to-dom0', bytes, options));
      yield [`vif2/${bytes}/one-thread/receiver-map/${name}`, measure];
    }
  }
}

/** Operations on grants that are measured, by name. */
export const GRANT_OPERATIONS: ReadonlyMap<string, GrantOperation> = new Map<string, GrantOperation>([
  ['publish-revoke', { kind: 'publish-revoke' }],
  ['map-unmap', { kind: 'map-unmap' }],
  ...[64, 4096].flatMap((bytes) =>
    [1, 32].map((batch) => [`copy-${bytes}x${batch}`, { kind: 'copy', bytes, batch }] as const),
  ),
]);

function* grantMeasurements(): Generator<readonly [string, Measure]> {
  for (const version of [1, 2] as const) {
    for (const [name, operation] of GRANT_OPERATIONS) {
      const path = `grant/${name}-v${version}`;
      yield [`${path}/one-thread`, rate((options) => oneThreadGrantRate(version, operation, options))];
      const twoWorkers = (table: 'shared' | 'apart') =>
        rate((options) => twoWorkersGrantRate(version, operation, options, table));
      yield [`${path}/two-workers`, twoWorkers('shared')];
      yield [`${path}/two-workers-apart`, twoWorkers('apart')];
    }
  }
}

/** A way to move bytes, as the yardstick measures it. */
export interface YardstickMark {
  readonly name: string;
  readonly mover: Mover;
  readonly frameBytes: number;
  /** What it took on the machine the bars come from. */
  readonly referenceNanoseconds: number;
}

export const YARDSTICK: readonly YardstickMark[] = YARDSTICK_BYTES.flatMap((frameBytes) =>
  Object.entries(REFERENCE_NANOSECONDS[frameBytes]).map(([mover, referenceNanoseconds]) => ({
    name: `yardstick/${frameBytes}/${mover}`,
    mover: mover as Mover,
    frameBytes,
    referenceNanoseconds,
  })),
);

const yardstickMeasurements = (): (readonly [string, Measure])[] =>
  YARDSTICK.map(({ name, mover, frameBytes }) => [
    name,
    rate((options) => yardstickRate(mover, frameBytes, options)),
  ]);

export const MEASUREMENTS: ReadonlyMap<string, Measure> = new Map([
  ...yardstickMeasurements(),
  ...frameMeasurements(),
  ...receiverMapMeasurements(),
  ...grantMeasurements(),
]);

/** What vif2 costs dom0 over what vif does, between guests. */
export const DOM0_COSTS: ReadonlyMap<string, (options: RateOptions) => Promise<CostRatio>> = new Map(
  FRAME_BYTES.map((bytes) => [`dom0-cost/${bytes}`, (options) => dom0CostOverVif(bytes, options)]),
);
