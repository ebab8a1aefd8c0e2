import {
  BYPASS_MESSAGE_SIZE,
  bypassSetupSize,
  LARGEST_BYPASS_RING_PAGES,
  SET_MAX_FRAGMENTS_SIZE,
  SET_MAX_PACKETS_SIZE,
  SET_OFFLOAD_SIZE,
  type UringProducer,
  writeBypassReady,
  writeSetMaxFragments,
  writeSetMaxPackets,
  writeSetOffload,
} from '@netchannel2/netchannel2';
import type { SchedulerLike } from 'rxjs';
import type { ReceiveOffer } from './link-settings';

/** Words of the longest message that is copied whole: BYPASS_FRONTEND of the largest ring. */
export const CONTROL_MESSAGE_WORDS = bypassSetupSize(LARGEST_BYPASS_RING_PAGES) / 4;

/** Limit and offload messages a peer may send in one second (spec §7). */
const MOST_CHANGES = 1000;

/** Writes the start-up burst into a fresh ring, which has room for it. */
export function writeStartUpBurst(producer: UringProducer, offer: ReceiveOffer, maxPackets: number): void {
  writeSetMaxPackets(producer.words, producer.claim(SET_MAX_PACKETS_SIZE, 0), maxPackets);
  producer.commit(SET_MAX_PACKETS_SIZE);
  writeSetMaxFragments(producer.words, producer.claim(SET_MAX_FRAGMENTS_SIZE, 0), offer.maxFragments);
  producer.commit(SET_MAX_FRAGMENTS_SIZE);
  const { checksumOffload, tcpv4Segmentation } = offer;
  writeSetOffload(producer.words, producer.claim(SET_OFFLOAD_SIZE, 0), checksumOffload, tcpv4Segmentation);
  producer.commit(SET_OFFLOAD_SIZE);
}

/** What follows the burst on a bypass ring: packets may come from now on. */
export function writeAnnouncement(producer: UringProducer): void {
  writeBypassReady(producer.words, producer.claim(BYPASS_MESSAGE_SIZE, 0));
  producer.commit(BYPASS_MESSAGE_SIZE);
}

/** Counts limit and offload messages: a peer may change its mind, but not all the time. */
export class ChangeRate {
  private windowStart = Number.NEGATIVE_INFINITY;
  private changes = 0;

  constructor(private readonly scheduler: SchedulerLike) {}

  /** @returns `false` beyond the rate. */
  count(): boolean {
    const now = this.scheduler.now();
    if (now - this.windowStart >= 1000) {
      this.windowStart = now;
      this.changes = 0;
    }
    this.changes += 1;
    return this.changes <= MOST_CHANGES;
  }
}
