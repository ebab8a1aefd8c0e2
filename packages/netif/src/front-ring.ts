import { notificationDue, REQ_EVENT, REQ_PROD, type RingGeometry, RSP_EVENT, RSP_PROD, SLOTS } from './sring';

/** What index checks answer when the peer moved its index where it must not be. */
export const RING_BROKEN = -1;

/**
 * The frontend's end of a ring. Own indices, and the last one published, are private: the peer writes the page as it likes
 * and is only believed about its own producer index, which must move forward and never past what was asked for.
 *
 * Indices are free-running 32-bit integers; the slot is the index modulo the slot count.
 */
export class FrontRing {
  /** Next request to be written; ahead of what is published. */
  requestIndex = 0;
  /** Next response to be consumed. */
  responseIndex = 0;
  readonly slotCount: number;
  private readonly slotWords: number;
  private readonly slots: number;
  private readonly mask: number;
  private published = 0;
  private seen = 0;

  /** @param pageWord first word of the ring page in `words`; the page was initialised by `initialiseRing`. */
  constructor(
    readonly words: Int32Array,
    private readonly pageWord: number,
    geometry: RingGeometry,
  ) {
    this.slotCount = geometry.slotCount;
    this.slotWords = geometry.slotWords;
    this.slots = pageWord + SLOTS;
    this.mask = geometry.slotCount - 1;
  }

  /** Requests that may be written before responses have to be consumed. */
  get free(): number {
    return this.slotCount - ((this.requestIndex - this.responseIndex) >>> 0);
  }

  /** Word index of the slot of request or response `index`. */
  slot(index: number): number {
    return this.slots + (index & this.mask) * this.slotWords;
  }

  /** Publishes the requests written so far. A packet's slots are published together or not at all. */
  publishRequests(): void {
    Atomics.store(this.words, this.pageWord + REQ_PROD, this.requestIndex);
  }

  /** After `publishRequests`: whether the backend wants an event for what became visible since the last call. */
  requestNotificationDue(): boolean {
    const before = this.published;
    this.published = this.requestIndex;
    if (before === this.published) return false;
    return notificationDue(before, this.published, Atomics.load(this.words, this.pageWord + REQ_EVENT));
  }

  /** Publishes and answers whether to notify. */
  pushRequests(): boolean {
    this.publishRequests();
    return this.requestNotificationDue();
  }

  /** Looks for responses: how many wait, or {@link RING_BROKEN}. */
  responses(): number {
    const producer = Atomics.load(this.words, this.pageWord + RSP_PROD);
    if ((producer - this.seen) >>> 0 > (this.published - this.seen) >>> 0) return RING_BROKEN;
    this.seen = producer;
    return (producer - this.responseIndex) >>> 0;
  }

  /** Asks for an event at response `responseIndex + ahead`; look for responses again afterwards, they may have just come. */
  armResponses(ahead = 1): void {
    Atomics.store(this.words, this.pageWord + RSP_EVENT, (this.responseIndex + ahead) | 0);
  }

  /** Final check before going to sleep: 0 when an event will come for the next response, else as {@link responses}. */
  finalCheckResponses(): number {
    const waiting = this.responses();
    if (waiting !== 0) return waiting;
    this.armResponses();
    return this.responses();
  }
}
