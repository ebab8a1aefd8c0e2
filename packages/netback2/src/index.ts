export type { BypassPolicy, BypassThresholds } from './bypass-policy';
export * from './bypass-proposer';
export type { MiddleBypassState } from './bypass-transitions';
export * from './netback2';
