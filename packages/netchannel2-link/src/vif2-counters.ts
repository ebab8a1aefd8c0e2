import { PortCounters } from '@netchannel2/frames';
import { DROP_REASONS, type DropReason } from './drop-reasons';

/** Counters of one vif2. The totals of {@link PortCounters} include what crossed bypasses. */
export class Vif2Counters extends PortCounters<DropReason> {
  bypassFramesSent = 0;
  bypassBytesSent = 0;
  bypassFramesReceived = 0;
  bypassBytesReceived = 0;
  /** Times packets of this port began to take a bypass. */
  bypassesOpened = 0;
  /** Bypasses this end gave up: the other end broke the protocol, or the switch took too long. */
  bypassesBroken = 0;
  /** Offers of a bypass that were refused. */
  bypassesRefused = 0;

  constructor() {
    super(DROP_REASONS);
  }
}
