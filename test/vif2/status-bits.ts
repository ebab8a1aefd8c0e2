import type { SimulatedDomain } from '@netchannel2/hypervisor';
import { grantRef } from '@netchannel2/xen';

const READING = 8;

/**
 * Says in the status of a grant that it is being read, as Xen does while a copy is under way on another CPU.
 *
 * @returns ends that.
 */
export function pinGrant(domain: SimulatedDomain, ref: number): () => void {
  const run = domain.grants.entries?.createRevocations(1);
  const area = domain.memory.allocate(1);
  if (run?.model === undefined || area === undefined) throw new Error('no model of a revocation');
  const words = new Int32Array(2);
  run.model(grantRef(ref), words, 0);
  const status = new Uint16Array(area.words.buffer);
  const at = words[1] ?? 0;
  status[at] = (status[at] ?? 0) | READING;
  run.end();
  domain.memory.free(area);
  return () => {
    status[at] = (status[at] ?? 0) & ~READING;
  };
}
