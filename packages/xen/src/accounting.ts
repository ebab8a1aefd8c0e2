/**
 * What a domain did and what was done for it. Counters only grow; gauges go back to zero when everything is torn down.
 *
 * @packageDocumentation
 */

export interface DomainAccounting {
  /** Nanoseconds of CPU spent in this domain's context, hypercalls included. */
  readonly cpuNanoseconds: number;
  /** Grant operations: own entries published and revoked, and elements of grant hypercalls this domain made. */
  readonly grantOperations: number;
  readonly grantsPublished: number;
  readonly grantsRevoked: number;
  readonly grantMaps: number;
  readonly grantUnmaps: number;
  readonly grantCopies: number;
  /** Bytes moved by this domain's CPU: its grant copies and its own copies in machine memory. */
  readonly bytesCopiedBy: number;
  /** Bytes other domains' grant copies moved out of or into this domain's pages. */
  readonly bytesCopiedFor: number;
  /** Event-channel sends. */
  readonly notifications: number;
  readonly hypercalls: number;

  /** Gauges. */
  readonly activeGrants: number;
  readonly mappings: number;
  /** Open event-channel ports, without the standing ones of the xenstore connection. */
  readonly ports: number;
}
