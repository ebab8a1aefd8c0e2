/** Frames of a round at most: with short frames some 10 ms. */
const ROUND_FRAMES = 20_000;
/** Bytes of a round at most, so that one with the longest frames takes no longer. */
const ROUND_BYTES = 100e6;

/** Divides frames into rounds of nearly the same size, each short against the swings of a machine that is shared. */
export function roundsOf(frames: number, frameBytes: number): number[] {
  const most = Math.min(ROUND_FRAMES, ROUND_BYTES / frameBytes);
  const rounds = Math.max(1, Math.floor(frames / most));
  const until = (round: number): number => Math.floor((round * frames) / rounds);
  return Array.from({ length: rounds }, (_, round) => until(round + 1) - until(round));
}

/** Whatever takes its turn in every round. */
export interface Contender<Round> {
  run(frames: number): Promise<Round>;
}

/**
 * Lets all take turns: in each round everybody runs once, so what is compared was measured within a fraction of a second.
 *
 * @param rounds the frames of each round.
 * @returns for each contender its rounds.
 */
export async function takeTurns<Round>(
  contenders: readonly Contender<Round>[],
  rounds: readonly number[],
): Promise<Round[][]> {
  const results: Round[][] = contenders.map(() => []);
  for (const frames of rounds) {
    for (const [index, contender] of contenders.entries()) {
      results[index]?.push(await contender.run(frames));
    }
  }
  return results;
}
