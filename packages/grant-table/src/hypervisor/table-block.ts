/**
 * The fixed record of one domain's grant table, in the block the host keeps per domain. Offsets are in 32-bit words.
 *
 * Three groups on cache lines of their own: what every operation reads and only growth or a version change writes; the
 * table lock; the maptrack. Counters follow, those of the domain's own thread apart from those of others.
 *
 * @packageDocumentation
 */

/** Bytes the host reserves per domain, zero before `createTable`. */
export const GRANT_TABLE_BLOCK_BYTES = 512;
