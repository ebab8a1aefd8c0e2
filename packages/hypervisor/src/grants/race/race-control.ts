/** Words of shared memory by which `race.test.ts` and its guest know how far each is. */
export const RaceControl = {
  /** 1 ends the guest's work, 2 also a revoke that waits. */
  stop: 0,
  /** Cycles the guest is through with. */
  cycles: 1,
  /** Which of the guest's references is live, by its place. */
  live: 2,
  /** Uses dom0 got through. */
  uses: 3,
} as const;

/** What the guest counted. */
export interface RaceTally {
  cycles: number;
  flips: number;
  revokedInUse: number;
  writesAfterRevoke: number;
  /** Revokes answered "in use" whose entry was valid still. */
  shownValid: number;
  /** Such revokes whose entry was not as its version says. */
  broken: number;
}
