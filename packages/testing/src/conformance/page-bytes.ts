import {
  type Domain,
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

/** Copies out of one grant with a hypercall of its own; the status, and the bytes that came. */
export function copyOut(
  domain: Domain,
  owner: Domain,
  ref: GrantRef,
  offset: number,
  length: number,
): { readonly status: GrantStatus; readonly bytes: Uint8Array } {
  const target = required(domain.memory.allocate(1), 'a page');
  const batch = domain.foreign.createCopyBatch(1);
  batch.addFromGrant(owner.id, ref, offset, target, 0, length);
  batch.submit();
  const status = batch.status(0);
  const bytes = status === GrantStatus.okay ? bytesOf(target, 0, length) : new Uint8Array(0);
  domain.memory.free(target);
  return { status, bytes };
}

/** Copies bytes into one grant with a hypercall of its own. */
export function copyInto(
  domain: Domain,
  owner: Domain,
  ref: GrantRef,
  offset: number,
  bytes: Uint8Array,
): GrantStatus {
  const source = required(domain.memory.allocate(1), 'a page');
  domain.memory.copyIn(source, 0, bytes);
  const batch = domain.foreign.createCopyBatch(1);
  batch.addToGrant(source, 0, owner.id, ref, offset, bytes.byteLength);
  batch.submit();
  const status = batch.status(0);
  domain.memory.free(source);
  return status;
}
