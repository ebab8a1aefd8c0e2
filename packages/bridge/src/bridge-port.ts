import type { ForwardingTarget, FrameForwarder, FramePort, GrantedFrame } from '@netchannel2/xen';
import type { Subscription } from 'rxjs';
import { isForwardingSource, isForwardingTarget } from './forwarding-port';
import type { ForwardingWay } from './forwarding-way';

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
  /** Of `framesIn`: packets handed on in their sender's grants, their payload neither read nor copied here. */
  readonly forwarded: number;
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
  forwarded = 0;
  notLearned = 0;
  subscription: Subscription | undefined;
  /** Addresses of the last frame from here, good as long as table and time are those of then. */
  readonly last = {
    version: -1,
    now: 0,
    sourceHigh: 0,
    sourceLow: 0,
    targetHigh: 0,
    targetLow: 0,
    target: -1,
  };
  /** Where the packet went that was handed on last, if to one port only. */
  forwardedTo: PortRecord | undefined;
  /** The port, where it can hand on packets in grants. */
  readonly target: ForwardingTarget | undefined;

  constructor(
    readonly port: FramePort,
    /** Place in the bridge's list of ports, which the address table names ports by. */
    readonly number: number,
  ) {
    this.target = isForwardingTarget(port) ? port : undefined;
  }

  /** Has packets of the port shown to `forward` before they are copied in, where the port can. */
  divert(forward: (from: PortRecord, granted: GrantedFrame) => boolean, way: ForwardingWay): void {
    if (!isForwardingSource(this.port)) return;
    const forwarder: FrameForwarder = {
      forward: (granted) => forward(this, granted),
      route: () => way.lead(this.forwardedTo),
    };
    this.port.divert(forwarder);
  }

  /** Nothing of the port comes here any more. */
  end(): void {
    if (isForwardingSource(this.port)) this.port.divert(undefined);
    this.subscription?.unsubscribe();
  }

  get counters(): BridgePortCounters {
    return this;
  }
}
