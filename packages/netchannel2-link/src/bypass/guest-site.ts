import type { FramePool, HotStream } from '@netchannel2/frames';
import type { Domain, DomainId, Frame } from '@netchannel2/xen';
import type { Vif2Link } from '../link';
import type { ReceiveOffer } from '../link-settings';
import type { Vif2Counters } from '../vif2-counters';
import type { BypassRole, GuestBypassState } from './guest-transitions';

/** What all bypasses of one frontend share with its parent connection. */
export interface GuestSite {
  readonly domain: Domain;
  /** The backend of the parent connection, which offers bypasses and owns their rings. */
  readonly middle: DomainId;
  readonly parent: Vif2Link;
  readonly pool: FramePool;
  readonly prefix: number;
  /** This guest's own address, six bytes, where it is known. */
  readonly ownMac: Uint8Array | undefined;
  readonly offer: ReceiveOffer;
  readonly frames: HotStream<Frame>;
  readonly writable: HotStream<void>;
  readonly counters: Vif2Counters;
}

/** A bypass of a frontend, for people to look at. */
export interface GuestBypassInfo {
  /** The middle's name for it. */
  readonly handle: number;
  readonly role: BypassRole;
  readonly state: GuestBypassState;
  /** The guest at the other end. */
  readonly peer: DomainId;
  /** Six bytes. Unicast frames to it take the bypass while the state is `open`. */
  readonly remoteMac: Uint8Array;
}
