import type { IsolatedMeasurements } from './isolated';
import { DEVICE_CLASSES, FRAME_BYTES, GRANT_OPERATIONS, RECEIVER_MAP_BYTES, YARDSTICK } from './measurements';
import { RECEIVER_MAP_WIRINGS } from './paths/drivers';
import { type BenchResult, resultOf } from './result';

/** A row of the report: a measurement, and those of the same run it is compared with. */
export interface Row {
  /** Of the row and of its measurement. */
  readonly name: string;
  /** 0 where operations are counted and not frames. */
  readonly frameBytes: number;
  /** Ratio by ratio, the measurement whose rate this row's is divided by. */
  readonly baselines: Readonly<Record<string, string>>;
  /** The measurement of what a frame of this path costs dom0 over what it does by vif. */
  readonly dom0CostOverVif?: string;
  /** What it took on the machine the bars come from. */
  readonly referenceNanoseconds?: number;
}

const yardstickRows = (): Row[] =>
  YARDSTICK.map(({ name, frameBytes, referenceNanoseconds }) => ({
    name,
    frameBytes,
    baselines: {},
    referenceNanoseconds,
  }));

function* frameRows(): Generator<Row> {
  for (const deviceClass of DEVICE_CLASSES) {
    for (const frameBytes of FRAME_BYTES) {
      const path = `${deviceClass}/${frameBytes}`;
      const baselines = { memcpy: `memcpy/${frameBytes}`, structuredClone: `structuredClone/${frameBytes}` };
      yield { name: `${path}/one-thread`, frameBytes, baselines };
      yield { name: `${path}/one-thread/from-dom0`, frameBytes, baselines };
      yield {
        name: `${path}/one-thread/guest-to-guest`,
        frameBytes,
        baselines,
        ...(deviceClass === 'vif2' && { dom0CostOverVif: `dom0-cost/${frameBytes}` }),
      };
      yield { name: `${path}/two-workers`, frameBytes, baselines };
    }
  }
}

function* receiverMapRows(): Generator<Row> {
  for (const frameBytes of RECEIVER_MAP_BYTES) {
    const path = `vif2/${frameBytes}/one-thread/receiver-map`;
    const baselines = { memcpy: `memcpy/${frameBytes}`, copied: `${path}/copied` };
    for (const name of RECEIVER_MAP_WIRINGS.keys()) yield { name: `${path}/${name}`, frameBytes, baselines };
  }
}

function* grantRows(): Generator<Row> {
  for (const version of [1, 2]) {
    for (const [name, operation] of GRANT_OPERATIONS) {
      const path = `grant/${name}-v${version}`;
      const frameBytes = operation.kind === 'copy' ? operation.bytes : 0;
      yield { name: `${path}/one-thread`, frameBytes, baselines: {} };
      // The second ratio is what sharing the table costs; the first has in it what a second busy thread costs anyway.
      const baselines = { oneThread: `${path}/one-thread`, apart: `${path}/two-workers-apart` };
      yield { name: `${path}/two-workers`, frameBytes, baselines };
    }
  }
}

/** All rows, in the order they run. */
export function allRows(): Row[] {
  return [...yardstickRows(), ...frameRows(), ...receiverMapRows(), ...grantRows()];
}

export async function measureRow(row: Row, measurements: IsolatedMeasurements): Promise<BenchResult> {
  const { name, frameBytes, referenceNanoseconds } = row;
  const measured = await measurements.rate(name);
  const rates: Record<string, number> = {};
  for (const [ratio, baseline] of Object.entries(row.baselines)) {
    rates[ratio] = (await measurements.rate(baseline)).perSecond;
  }
  if (referenceNanoseconds !== undefined) rates.reference = 1e9 / referenceNanoseconds;
  const result = resultOf({ name, frameBytes, measured }, rates);
  if (row.dom0CostOverVif === undefined) return result;
  const dom0CostOverVif = Number((await measurements.costRatio(row.dom0CostOverVif)).toPrecision(4));
  return { ...result, ratios: { ...result.ratios, dom0CostOverVif } };
}
