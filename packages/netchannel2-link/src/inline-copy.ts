import type { DomainMemory, Frame, MemoryArea } from '@netchannel2/xen';
import type { OffloadPlan } from './offload-plan';

/**
 * Copies the first `length` bytes of `frame` into a message, with the checksum that `plan` completes.
 *
 * @param target of the inline bytes in the ring's payload.
 */
export function copyInline(
  memory: DomainMemory,
  payload: MemoryArea,
  target: number,
  frame: Frame,
  length: number,
  plan: OffloadPlan,
): void {
  let done = 0;
  for (let index = 0; done < length; index += 1) {
    const piece = Math.min(frame.fragmentLength(index), length - done);
    memory.copy(payload, target + done, frame.fragmentPage(index), frame.fragmentOffset(index), piece);
    done += piece;
  }
  if (plan.checksumField < 0) return;
  const at = payload.base + target + plan.checksumField;
  payload.bytes[at] = plan.checksum >>> 8;
  payload.bytes[at + 1] = plan.checksum;
}
