/** What became of a frame. */
export const SendOutcome = {
  sent: 0,
  /** Given up and counted: it can never go to this peer as it is. */
  dropped: 1,
  /** No credit or no room in the ring: a FINISH or the consumer's progress will help. */
  full: 2,
  /** No pages or references of our own. */
  starved: 3,
} as const;
export type SendOutcome = (typeof SendOutcome)[keyof typeof SendOutcome];
