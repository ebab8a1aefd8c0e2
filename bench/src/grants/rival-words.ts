/** Words that a rival's thread shares with the one that measures. */
export const RivalWord = { stop: 0, rounds: 1 } as const;
