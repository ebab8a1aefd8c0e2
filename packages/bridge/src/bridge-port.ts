import type { FramePort } from '@netchannel2/xen';
import type { Subscription } from 'rxjs';

/** What one port did on the bridge. In and out are the bridge's: a frame comes in from a port and goes out to others. */
export interface BridgePortCounters {
  readonly framesIn: number;
  readonly bytesIn: number;
  readonly framesOut: number;
  readonly bytesOut: number;
  /** Frames from this port that went to all other ports. */
  readonly flooded: number;
  /** Frames from this port whose destination is on this port: nothing to do. */
  readonly filtered: number;
  /** Frames for this port it had no room for. */
  readonly refused: number;
  /** Frames from this port that no bridge forwards: shorter than a header, from a group address, link-local. */
  readonly invalid: number;
  /** Times an address was not learned because the table or this port's share of it is full. */
  readonly notLearned: number;
}

/** A port while it is on a bridge. */
export interface BridgePort {
  readonly port: FramePort;
  readonly counters: BridgePortCounters;
}

/** @internal The bridge's own record of a port. */
export class PortRecord implements BridgePort, BridgePortCounters {
  framesIn = 0;
  bytesIn = 0;
  framesOut = 0;
  bytesOut = 0;
  flooded = 0;
  filtered = 0;
  refused = 0;
  invalid = 0;
  notLearned = 0;
  subscription: Subscription | undefined;

  constructor(
    readonly port: FramePort,
    /** Place in the bridge's list of ports, which the address table names ports by. */
    readonly number: number,
  ) {}

  get counters(): BridgePortCounters {
    return this;
  }
}
