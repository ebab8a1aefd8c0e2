/**
 * Suites that every implementation of the ports must pass: simulated Xen, real Xen, both device classes, TAPs, decorators.
 * They register vitest tests, so they are an entry of their own: the rest of this package needs no test runner.
 *
 * @packageDocumentation
 */
export * from './deferred-work';
export * from './domain-memory';
export type { DomainTrio, DomainTrioFactory } from './domain-trio';
export * from './event-channels';
export * from './foreign-memory';
export * from './frame-port';
export type { FramePortPair, FramePortPairFactory } from './frame-port-pair';
export * from './grant-entries';
export * from './grant-references';
export * from './shared-pages';
export * from './xenstore';
