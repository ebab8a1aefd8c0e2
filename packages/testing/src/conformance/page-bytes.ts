import {
  type Domain,
  type GrantCopyBatch,
  type GrantRef,
  GrantStatus,
  type MemoryArea,
  PAGE_SIZE,
  type PageArea,
} from '@netchannel2/xen';
import { required } from './domain-trio';

/** `pageCount` fresh pages of a domain, each filled with `first`, `first + 1` and so on. */
export function filledPages(domain: Domain, pageCount: number, first: number): PageArea {
  const area = required(domain.memory.allocate(pageCount), `${pageCount} pages`);
  for (let page = 0; page < pageCount; page += 1) {
    domain.memory.copyIn(area, page * PAGE_SIZE, new Uint8Array(PAGE_SIZE).fill(first + page));
  }
  return area;
}

/** A heap copy of a range. */
export function bytesOf(area: MemoryArea, offset: number, length: number): Uint8Array {
  return area.bytes.slice(area.base + offset, area.base + offset + length);
}

/** A batch of one element and a page of a domain's own, made once: a batch has no end of its own. */
interface Scratch {
  readonly batch: GrantCopyBatch;
  readonly page: PageArea;
}

const scratches = new WeakMap<Domain, Scratch>();

function scratchOf(domain: Domain): Scratch {
  let scratch = scratches.get(domain);
  if (scratch === undefined) {
    const page = required(domain.memory.allocate(1), 'a page');
    scratch = { batch: domain.foreign.createCopyBatch(1), page };
    scratches.set(domain, scratch);
  }
  scratch.batch.clear();
  return scratch;
}

/** Copies out of one grant with a hypercall of its own; the status, and the bytes that came. */
export function copyOut(
  domain: Domain,
  owner: Domain,
  ref: GrantRef,
  offset: number,
  length: number,
): { readonly status: GrantStatus; readonly bytes: Uint8Array } {
  const { batch, page } = scratchOf(domain);
  batch.addFromGrant(owner.id, ref, offset, page, 0, length);
  batch.submit();
  const status = batch.status(0);
  return { status, bytes: status === GrantStatus.okay ? bytesOf(page, 0, length) : new Uint8Array(0) };
}

/** Copies bytes into one grant with a hypercall of its own. */
export function copyInto(
  domain: Domain,
  owner: Domain,
  ref: GrantRef,
  offset: number,
  bytes: Uint8Array,
): GrantStatus {
  const { batch, page } = scratchOf(domain);
  domain.memory.copyIn(page, 0, bytes);
  batch.addToGrant(page, 0, owner.id, ref, offset, bytes.byteLength);
  batch.submit();
  return batch.status(0);
}
