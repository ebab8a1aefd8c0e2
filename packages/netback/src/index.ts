export * from './driver';
export type { NetbackCounters, NetbackDrop } from './frame-drops';
export * from './netback';
export type { NetbackOptions } from './options';
