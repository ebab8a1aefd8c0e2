import type { FramePortCounters } from '@netchannel2/xen';

/** The counters of a port, written by its driver. Reasons are a fixed set, so counting allocates nothing. */
export class PortCounters<Reason extends string> implements FramePortCounters {
  framesSent = 0;
  bytesSent = 0;
  framesReceived = 0;
  bytesReceived = 0;
  sendRefused = 0;
  readonly dropped: Record<Reason, number>;

  constructor(reasons: readonly Reason[]) {
    this.dropped = Object.fromEntries(reasons.map((reason) => [reason, 0])) as Record<Reason, number>;
  }
}
