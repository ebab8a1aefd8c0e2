/**
 * What `nc2` does, as functions: the replay of a capture over both device classes and its report.
 *
 * @packageDocumentation
 */
export { CommandFailure, ExitCode } from './command-failure';
export { type Comparison, compare } from './compare/compare';
export { createProgram, main } from './program';
export { type GrantTableVersions, type ReplayOptions, type ReplayReport, replay } from './replay/replay';
export type { DomainFigures, PathResult, PathRun } from './replay/run-path';
export { type ReplayJson, replayJson } from './report/replay-json';
export type { Terminal } from './terminal';
