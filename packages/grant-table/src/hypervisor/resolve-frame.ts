/**
 * From a shared entry to the page it means: read once, after the in-use bits are set, never before.
 *
 * @packageDocumentation
 */
import { GrantStatus } from '@netchannel2/xen';
import { V1_FRAME, V2_FRAME } from '../layout/entries';
import type { GrantMachine } from './machine';
import { VERSION } from './table-block';

const PAGED_OUT = -2;

/** The guest frame an entry names, -1 where it is beyond what any domain has. `header` is the entry's first word. */
export function namedFrame(words: Int32Array, block: number, header: number): number {
  if (words[block + VERSION] === 1) return (words[header + V1_FRAME] as number) >>> 0;
  const high = words[header + V2_FRAME + 1] as number;
  return high === 0 ? (words[header + V2_FRAME] as number) >>> 0 : -1;
}

/** Machine frame behind a guest frame of `domid`, or a negative status. */
export function resolveFrame(
  machine: GrantMachine,
  domid: number,
  guestFrame: number,
  write: boolean,
): number {
  if (guestFrame < 0) return GrantStatus.badPage;
  const frame = machine.host.machineFrame(domid, guestFrame, write);
  if (frame >= 0) return frame;
  return frame === PAGED_OUT ? GrantStatus.again : GrantStatus.badPage;
}
