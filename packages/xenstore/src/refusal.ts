/**
 * How a request is refused inside the server.
 *
 * @packageDocumentation
 */
import type { Errno } from '@netchannel2/xen';

/** Thrown to answer ERROR. Deliberately not an `Error`: refusals are ordinary, and a stack trace costs microseconds. */
export class Refusal {
  constructor(readonly code: Errno) {}
}

/** Refuses the request being served. */
export function refuse(code: Errno): never {
  throw new Refusal(code);
}
