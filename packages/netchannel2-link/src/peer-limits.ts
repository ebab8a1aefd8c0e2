import {
  MessageType,
  setMaxFragmentsValue,
  setOffloadChecksum,
  setOffloadTcpv4,
} from '@netchannel2/netchannel2';
import type { SchedulerLike } from 'rxjs';
import { ChangeRate } from './control-messages';
import type { PacketSender } from './packet-sender';

/** More fragments than this the peer may allow, we never use them. */
const MOST_FRAGMENTS = 64;

/** What the peer says it takes, as SET_MAX_FRAGMENTS_PER_PACKET and SET_OFFLOAD tell, which may come at any time. */
export class PeerLimits {
  private maxFragments = 1;
  private checksum = false;
  private tcpv4 = false;
  private readonly rate: ChangeRate;

  constructor(scheduler: SchedulerLike) {
    this.rate = new ChangeRate(scheduler);
  }

  /**
   * @param type SET_MAX_FRAGMENTS_PER_PACKET or SET_OFFLOAD.
   * @param message a private copy.
   * @returns what ends the connection, or `undefined`.
   */
  take(type: number, message: Int32Array): string | undefined {
    if (type === MessageType.setMaxFragmentsPerPacket) {
      const limit = setMaxFragmentsValue(message, 0);
      if (limit === 0) return 'SET_MAX_FRAGMENTS_PER_PACKET of 0';
      this.maxFragments = Math.min(limit, MOST_FRAGMENTS);
    } else {
      this.checksum = setOffloadChecksum(message, 0);
      this.tcpv4 = setOffloadTcpv4(message, 0);
    }
    return this.rate.count() ? undefined : 'limits changed more than 1000 times a second';
  }

  /** Has `sender` obey from now on. */
  apply(sender: PacketSender): void {
    sender.setMaxFragments(this.maxFragments);
    sender.peerOffload.checksum = this.checksum;
    sender.peerOffload.tcpv4 = this.tcpv4;
  }
}
