export * from './driver';
export type { NetfrontCounters, NetfrontDrop } from './frame-drops';
export * from './netfront';
export type { NetfrontOptions } from './options';
