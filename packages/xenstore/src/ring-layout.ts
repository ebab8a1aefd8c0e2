/**
 * The shared page through which a domain talks xenstore (`struct xenstore_domain_interface`, `public/io/xs_wire.h`).
 *
 * @packageDocumentation
 */
import type { MemoryArea } from '@netchannel2/xen';

/** Bytes of each of the two rings. */
export const RING_SIZE = 1024;
const RING_MASK = RING_SIZE - 1;

/** Byte offsets in the page; all but the rings are u32 words. */
export const RING_PAGE = {
  requests: 0,
  responses: 1024,
  requestConsumer: 2048,
  requestProducer: 2052,
  responseConsumer: 2056,
  responseProducer: 2060,
  serverFeatures: 2064,
  /** 0 connected, 1 reconnection in progress. */
  connection: 2068,
  /** One of {@link RING_ERROR}. */
  error: 2072,
  eventChannelPort: 2076,
} as const;

export const RING_ERROR = { none: 0, communication: 1, index: 2, protocol: 3 } as const;

/** One direction of the page: where its bytes and its two counters are. */
export interface RingDirection {
  readonly data: number;
  readonly consumer: number;
  readonly producer: number;
}

/** Domain to daemon. */
export const REQUESTS: RingDirection = {
  data: RING_PAGE.requests,
  consumer: RING_PAGE.requestConsumer,
  producer: RING_PAGE.requestProducer,
};

/** Daemon to domain. */
export const RESPONSES: RingDirection = {
  data: RING_PAGE.responses,
  consumer: RING_PAGE.responseConsumer,
  producer: RING_PAGE.responseProducer,
};

/** A word of the page, as u32. */
export function loadWord(page: MemoryArea, offset: number): number {
  return Atomics.load(page.words, (page.base + offset) >> 2) >>> 0;
}

/** Sets a word of the page; everything written before is visible to whoever reads the new value. */
export function storeWord(page: MemoryArea, offset: number, value: number): void {
  Atomics.store(page.words, (page.base + offset) >> 2, value | 0);
}

/** Answered when the counters are more than a ring apart: the other side cannot be followed. */
export const INDEX_FAULT = -1;

/** Copies as many of `bytes`, from `start`, as there is room for. Answers how many, or {@link INDEX_FAULT}. */
export function produce(page: MemoryArea, ring: RingDirection, bytes: Uint8Array, start: number): number {
  const consumer = loadWord(page, ring.consumer);
  const producer = loadWord(page, ring.producer);
  const used = (producer - consumer) >>> 0;
  if (used > RING_SIZE) return INDEX_FAULT;
  const count = Math.min(RING_SIZE - used, bytes.byteLength - start);
  const at = producer & RING_MASK;
  const first = Math.min(count, RING_SIZE - at);
  const data = page.base + ring.data;
  page.bytes.set(bytes.subarray(start, start + first), data + at);
  page.bytes.set(bytes.subarray(start + first, start + count), data);
  if (count > 0) storeWord(page, ring.producer, producer + count);
  return count;
}

/** Takes all bytes of a ring out, as a copy. Empty when there are none; {@link INDEX_FAULT} as in `produce`. */
export function consume(page: MemoryArea, ring: RingDirection): Uint8Array | typeof INDEX_FAULT {
  const consumer = loadWord(page, ring.consumer);
  const producer = loadWord(page, ring.producer);
  const count = (producer - consumer) >>> 0;
  if (count > RING_SIZE) return INDEX_FAULT;
  const at = consumer & RING_MASK;
  const first = Math.min(count, RING_SIZE - at);
  const data = page.base + ring.data;
  const bytes = new Uint8Array(count);
  bytes.set(page.bytes.subarray(data + at, data + at + first));
  bytes.set(page.bytes.subarray(data, data + count - first), first);
  if (count > 0) storeWord(page, ring.consumer, consumer + count);
  return bytes;
}

/** Empties both rings. */
export function clearRings(page: MemoryArea): void {
  for (const { consumer, producer } of [REQUESTS, RESPONSES]) {
    storeWord(page, consumer, 0);
    storeWord(page, producer, 0);
  }
}
