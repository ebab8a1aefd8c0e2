/**
 * One side of a copy, kept from element to element while the next names the same.
 *
 * @packageDocumentation
 */

/** Source or destination, as long as it is claimed. */
export class CopySide {
  /** The domain named, DOMID_SELF as such; -1 before the first element. */
  domid = -1;
  /** Its real id. */
  owner = -1;
  /** Word index of its table. */
  block = 0;
  /** The reference or guest frame claimed. */
  name = -1;
  granted = false;
  /** Whether {@link frame} is claimed, with a reference on the page. */
  claimed = false;
  frame = -1;
  /** The bytes that may be touched: `[start, start + length)`. */
  start = 0;
  length = 0;
  /** A transitive grant: the domain whose page it is and its reference there, else -1. */
  innerDomid = -1;
  innerRef = 0;
  /** Counts among the copies that keep version 2 in force. */
  countsV2 = false;

  constructor(readonly write: boolean) {}
}
