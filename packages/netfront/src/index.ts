export { ControlError } from './control-channel';
export * from './driver';
export type { NetfrontCounters, NetfrontDrop } from './frame-drops';
export * from './netfront';
export type { NetfrontOptions } from './options';
export type { ReceiveHashOptions } from './receive-hash';
