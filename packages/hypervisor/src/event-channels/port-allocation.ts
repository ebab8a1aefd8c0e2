/**
 * Finding a port number: the lowest free one, in buckets made on demand.
 */
import { Block, DomainState } from '../domains/domain-block';
import type { DomainTable } from '../domains/domain-table';
import { EINVAL, ENOMEM, ENOSPC } from '../domains/errors';
import {
  PORTS_PER_BUCKET,
  PORTS_PER_PAGE_SHIFT,
  PortState,
  portRecord,
  portState,
  setPortState,
} from './port-record';

/**
 * A free port, not yet marked as taken, or a negative errno. The caller holds the domain's event lock.
 */
export function findFreePort(domains: DomainTable, block: number): number {
  const { words } = domains;
  if (domains.state(block) === DomainState.dying) return EINVAL;
  const valid = words[block + Block.validPorts] as number;
  const limit = Math.min(
    (words[block + Block.maximumPort] as number) + 1,
    words[block + Block.portLimit] as number,
  );
  const scanned = Math.min(valid, limit);
  for (let port = 1; port < scanned; port++) {
    if (portState(words, portRecord(words, block, port)) === PortState.free) return port;
  }
  if (valid >= limit) return ENOSPC;
  if (!addBucket(domains, block, valid)) return ENOMEM;
  const port = Math.max(valid, 1);
  return port < limit ? port : ENOSPC;
}

function addBucket(domains: DomainTable, block: number, valid: number): boolean {
  const { words } = domains;
  const page = block + Block.portPages + (valid >>> PORTS_PER_PAGE_SHIFT);
  if (words[page] === 0) {
    const address = domains.allocator.allocateXenPages(1);
    if (address === 0) return false;
    words[page] = address >>> 2;
  }
  // A new bucket is complete before its numbers become valid (XSA-340).
  Atomics.store(words, block + Block.validPorts, valid + PORTS_PER_BUCKET);
  if (valid === 0) setPortState(words, portRecord(words, block, 0), PortState.reserved, 0);
  return true;
}
