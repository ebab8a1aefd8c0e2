import { type ReplayEnd, Replayer } from './replayer';
import type { TwoSides } from './two-sides';
import { Verifier } from './verifier';

/** Without an arrival for so long (milliseconds) a crossing is over. */
const STALL_TIME = 1_000;

/** What came of the frames of both directions. */
export interface CrossingResult {
  readonly sent: number;
  readonly received: number;
  readonly mismatches: number;
  readonly seconds: number;
  /** What was wrong first, per direction. */
  readonly complaints: readonly string[];
}

/**
 * Sends both sides' frames at once, `rounds` times, and checks what arrives. Ends when all have arrived, or none has for
 * a while.
 *
 * @param settled resolves when nothing is under way any more.
 */
export async function cross(
  ends: readonly [ReplayEnd, ReplayEnd],
  sides: TwoSides,
  rounds: number,
  settled: () => Promise<void>,
): Promise<CrossingResult> {
  const verifiers = [
    new Verifier('guest 1 to guest 2', sides.guest1.frames, rounds),
    new Verifier('guest 2 to guest 1', sides.guest2.frames, rounds),
  ] as const;
  const received = () => verifiers[0].received + verifiers[1].received;
  const started = performance.now();
  const replayers = await new Promise<readonly [Replayer, Replayer]>((resolve) => {
    let progress = 0;
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
      new Replayer(ends[0], sides.guest1.frames, rounds, verifiers[0], completed),
      new Replayer(ends[1], sides.guest2.frames, rounds, verifiers[1], completed),
    ] as const;
    both[0].start(ends[1]);
    both[1].start(ends[0]);
  });
  const seconds = (performance.now() - started) / 1000;
  // Frames that should not come, come now; and the figures of all domains are complete.
  await settled();
  for (const replayer of replayers) replayer.stop();
  for (const verifier of verifiers) verifier.finish();
  return {
    sent: replayers[0].sent + replayers[1].sent,
    received: received(),
    mismatches: verifiers[0].mismatches + verifiers[1].mismatches,
    seconds,
    complaints: verifiers.flatMap(({ firstMismatch }) =>
      firstMismatch === undefined ? [] : [firstMismatch],
    ),
  };
}
