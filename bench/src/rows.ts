import type { DeviceClass } from '@netchannel2/device-registry';
import { Machine } from '@netchannel2/hypervisor';
import { memoryCopyRate } from './baselines/memory-copy';
import { structuredCloneRate } from './baselines/structured-clone';
import { guestToGuestRate } from './paths/guest-to-guest';
import { oneThreadRate } from './paths/one-thread';
import { twoWorkersRate } from './paths/two-workers';
import type { RateOptions } from './rate';
import { type BenchResult, resultOf } from './result';

export const FRAME_BYTES = [64, 256, 1514, 4096] as const;

/** Rates of one frame size that others are compared with, measured once per run. */
interface Baselines {
  readonly memcpy: number;
  readonly structuredClone: number;
}

/** A row to measure: its name, and how. */
export interface Row {
  readonly name: string;
  measure(context: RunContext): Promise<BenchResult>;
}

/** What rows of one run share: options, baselines, and what was measured before. */
export class RunContext {
  private readonly baselines = new Map<number, Promise<Baselines>>();
  private readonly dom0Costs = new Map<string, number>();

  constructor(readonly options: RateOptions) {}

  baselinesOf(frameBytes: number): Promise<Baselines> {
    const known = this.baselines.get(frameBytes);
    if (known !== undefined) return known;
    const measured = measureBaselines(frameBytes, this.options);
    this.baselines.set(frameBytes, measured);
    return measured;
  }

  /** Nanoseconds dom0 spends per frame between guests, kept for the row of the other class. */
  rememberDom0Cost(key: string, nanoseconds: number): void {
    this.dom0Costs.set(key, nanoseconds);
  }

  dom0Cost(key: string): number | undefined {
    return this.dom0Costs.get(key);
  }
}

async function measureBaselines(frameBytes: number, options: RateOptions): Promise<Baselines> {
  const machine = Machine.boot({ memoryBytes: 16 << 20 });
  const { memory } = machine.createDomain({ memoryPages: 256 });
  const memcpy = await memoryCopyRate(memory, frameBytes, options);
  machine.shutdown();
  return { memcpy, structuredClone: await structuredCloneRate(frameBytes, options) };
}

/** A path's rate against both baselines. */
function rateRow(name: string, frameBytes: number, rate: (options: RateOptions) => Promise<number>): Row {
  return {
    name,
    async measure(context) {
      const baselines = await context.baselinesOf(frameBytes);
      return resultOf({ name, frameBytes, framesPerSecond: await rate(context.options) }, { ...baselines });
    },
  };
}

/** Guest to guest through dom0's bridge; the second class measured is also compared by dom0's cost per frame. */
function guestToGuestRow(deviceClass: DeviceClass, frameBytes: number): Row {
  const name = `${deviceClass}/${frameBytes}/one-thread/guest-to-guest`;
  return {
    name,
    async measure(context) {
      const baselines = await context.baselinesOf(frameBytes);
      const { framesPerSecond, dom0Nanoseconds } = await guestToGuestRate(
        deviceClass,
        frameBytes,
        context.options,
      );
      context.rememberDom0Cost(`${deviceClass}/${frameBytes}`, dom0Nanoseconds);
      const vifCost = context.dom0Cost(`vif/${frameBytes}`);
      const result = resultOf({ name, frameBytes, framesPerSecond }, { ...baselines });
      if (deviceClass === 'vif' || vifCost === undefined)
        return { ...result, dom0NsPerFrame: dom0Nanoseconds };
      const dom0CostOverVif = Number((dom0Nanoseconds / vifCost).toPrecision(4));
      return { ...result, dom0NsPerFrame: dom0Nanoseconds, ratios: { ...result.ratios, dom0CostOverVif } };
    },
  };
}

/** All rows, in the order they run. */
export function allRows(): Row[] {
  const rows: Row[] = [];
  for (const deviceClass of ['vif', 'vif2'] as const) {
    for (const bytes of FRAME_BYTES) {
      rows.push(
        rateRow(`${deviceClass}/${bytes}/one-thread`, bytes, (options) =>
          oneThreadRate(deviceClass, 'to-dom0', bytes, options),
        ),
        rateRow(`${deviceClass}/${bytes}/one-thread/from-dom0`, bytes, (options) =>
          oneThreadRate(deviceClass, 'from-dom0', bytes, options),
        ),
        guestToGuestRow(deviceClass, bytes),
        rateRow(`${deviceClass}/${bytes}/two-workers`, bytes, (options) =>
          twoWorkersRate(deviceClass, bytes, options),
        ),
      );
    }
  }
  return rows;
}
