import { RING_BROKEN } from './front-ring';
import { notificationDue, REQ_EVENT, REQ_PROD, type RingGeometry, RSP_EVENT, RSP_PROD, SLOTS } from './sring';

/**
 * The backend's end of a ring. It starts from the page's response index, so that a backend can take over a ring in use;
 * from then on only the frontend's producer index is read, and it must move forward and never lap the unanswered requests.
 */
export class BackRing {
  /** Next request to be consumed. */
  requestIndex: number;
  /** Next response to be written; ahead of what is published. */
  responseIndex: number;
  readonly slotCount: number;
  private readonly slotWords: number;
  private readonly slots: number;
  private readonly mask: number;
  private published: number;
  private seen: number;

  /** @param pageWord first word of the ring page in `words`. */
  constructor(
    readonly words: Int32Array,
    private readonly pageWord: number,
    geometry: RingGeometry,
  ) {
    this.slotCount = geometry.slotCount;
    this.slotWords = geometry.slotWords;
    this.slots = pageWord + SLOTS;
    this.mask = geometry.slotCount - 1;
    const start = Atomics.load(words, pageWord + RSP_PROD);
    this.requestIndex = start;
    this.responseIndex = start;
    this.published = start;
    this.seen = start;
  }

  /** Word index of the slot of request or response `index`. */
  slot(index: number): number {
    return this.slots + (index & this.mask) * this.slotWords;
  }

  /** Requests seen by the last look and not yet consumed. */
  get unconsumed(): number {
    return (this.seen - this.requestIndex) >>> 0;
  }

  /** Looks for requests: how many wait, or {@link RING_BROKEN}. */
  requests(): number {
    const producer = Atomics.load(this.words, this.pageWord + REQ_PROD);
    const room = (this.responseIndex + this.slotCount - this.seen) >>> 0;
    if ((producer - this.seen) >>> 0 > room) return RING_BROKEN;
    this.seen = producer;
    return (producer - this.requestIndex) >>> 0;
  }

  /** Asks for an event when `wanted` requests wait; look for requests again afterwards. */
  armRequests(wanted = 1): void {
    Atomics.store(this.words, this.pageWord + REQ_EVENT, (this.requestIndex + wanted) | 0);
  }

  /** Asks for an event at the next request beyond those already visible (the rule of a receiver short of slots, §3). */
  armNextRequest(): void {
    Atomics.store(this.words, this.pageWord + REQ_EVENT, (this.seen + 1) | 0);
  }

  /**
   * Looks for `needed` requests. When there are fewer, an event will come for the next one: it is asked for anew until none
   * came between looking and asking.
   *
   * @returns how many wait, or {@link RING_BROKEN}.
   */
  awaitRequests(needed: number): number {
    for (;;) {
      const waiting = this.requests();
      if (waiting === RING_BROKEN || waiting >= needed) return waiting;
      this.armNextRequest();
      // Each further turn takes a request to have come, and a ring holds only so many.
      if (Atomics.load(this.words, this.pageWord + REQ_PROD) === this.seen) return waiting;
    }
  }

  /** Final check before going to sleep: 0 when an event will come for the next request, else as {@link requests}. */
  finalCheckRequests(): number {
    const waiting = this.requests();
    if (waiting !== 0) return waiting;
    this.armRequests();
    return this.requests();
  }

  /** Publishes the responses written so far. */
  publishResponses(): void {
    Atomics.store(this.words, this.pageWord + RSP_PROD, this.responseIndex);
  }

  /** After `publishResponses`: whether the frontend wants an event for what became visible since the last call. */
  responseNotificationDue(): boolean {
    const before = this.published;
    this.published = this.responseIndex;
    if (before === this.published) return false;
    return notificationDue(before, this.published, Atomics.load(this.words, this.pageWord + RSP_EVENT));
  }

  /** Publishes and answers whether to notify. */
  pushResponses(): boolean {
    this.publishResponses();
    return this.responseNotificationDue();
  }
}
