import type { UringProducer } from '@netchannel2/netchannel2';
import { writeAnnouncement, writeStartUpBurst } from './control-messages';
import type { LinkSettings } from './link-settings';

/**
 * How a ring is opened. On a parent ring the start-up burst goes out at once and the peer's credit opens it; on a bypass both
 * ends also say BYPASS_READY, and the frontend-like one only when somebody is there to hear it (spec §6.2).
 */
export class RingOpening {
  /** The peer knows our credit: PACKETs may come. */
  announced = false;
  /** Frames can be sent. */
  opened = false;
  private heard: boolean;
  private peerReady: boolean;

  constructor(
    private readonly settings: LinkSettings,
    private readonly producer: UringProducer,
    private readonly maxPackets: number,
  ) {
    this.peerReady = settings.bypass === undefined;
    this.heard = settings.bypass?.awaitsEvent !== true;
    if (this.peerReady) this.announce();
  }

  /** An event came. */
  hear(): void {
    this.heard = true;
  }

  /** BYPASS_READY came. @returns what is wrong with that, or `undefined`. */
  takeReady(): string | undefined {
    if (this.peerReady) return 'BYPASS_READY twice';
    this.peerReady = true;
    return undefined;
  }

  /** At the end of each pass: says what can be said by now. @param credit the peer's has arrived. */
  advance(credit: boolean): void {
    if (this.opened) return;
    if (!this.announced && this.heard) {
      this.announce();
      writeAnnouncement(this.producer);
      this.settings.bypass?.announced();
    }
    if (!credit || !this.announced || !this.peerReady) return;
    this.opened = true;
    this.settings.opened();
  }

  private announce(): void {
    writeStartUpBurst(this.producer, this.settings.offer, this.maxPackets);
    this.announced = true;
  }
}
