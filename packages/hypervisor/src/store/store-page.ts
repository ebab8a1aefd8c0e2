/**
 * What a domain's builder prepares for xenstore: a page of the domain's RAM, an event channel, and the reserved grant of
 * the page to the store's domain (spec xenstore.md §10).
 */
import { PAGE_SHIFT, PAGE_SIZE } from '@netchannel2/xen';
import { RING_PAGE } from '@netchannel2/xenstore';
import { Block } from '../domains/domain-block';
import { RESERVED_XENSTORE, seedGrant } from '../grants/seed-grant';
import type { Hypervisor } from '../hypervisor';

/** The daemon's domain. */
export const STORE_DOMAIN = 0;
/** The word in which a domain says that its connection is not made yet. */
const CONNECTION_WORD = RING_PAGE.connection >>> 2;

/** Where a domain talks xenstore, as its start info says. */
export interface StoreStart {
  /** Byte address of the page in machine memory. */
  readonly address: number;
  /** The page in the domain's own address space. */
  readonly guestFrame: number;
  /** The domain's port, unbound for the store's domain until that connects. */
  readonly port: number;
}

/**
 * Takes the last page of a new domain's RAM for the store and allocates the port. The page says "reconnecting" until the
 * daemon has connected, so that the domain waits.
 */
export function buildStorePage(hypervisor: Hypervisor, domid: number): StoreStart {
  const { domains, events } = hypervisor;
  const { words } = domains;
  const block = domains.block(domid);
  const lastRun = block + Block.runs + ((words[block + Block.runCount] as number) - 1) * 2;
  const frame = (words[lastRun] as number) + (words[lastRun + 1] as number) - 1;
  const address = frame << PAGE_SHIFT;
  const guestFrame = domains.frames.guestFrame(frame);
  words.fill(0, address >>> 2, (address + PAGE_SIZE) >>> 2);
  words[(address >>> 2) + CONNECTION_WORD] = 1;
  const port = events.allocateUnbound(STORE_DOMAIN, domid, STORE_DOMAIN);
  if (port < 0) throw new Error(`domain ${domid} has no event channel for xenstore: error ${port}`);
  seedGrant(hypervisor, domid, RESERVED_XENSTORE, STORE_DOMAIN, guestFrame);
  words[block + Block.storePage] = address;
  words[block + Block.storePort] = port;
  return { address, guestFrame, port };
}

/** What the builder left for the domain; `undefined` where it talks xenstore in another way. */
export function storeStart(hypervisor: Hypervisor, block: number): StoreStart | undefined {
  const { words, frames } = hypervisor.domains;
  const address = words[block + Block.storePage] as number;
  if (address === 0) return undefined;
  const guestFrame = frames.guestFrame(address >>> PAGE_SHIFT);
  return { address, guestFrame, port: words[block + Block.storePort] as number };
}
