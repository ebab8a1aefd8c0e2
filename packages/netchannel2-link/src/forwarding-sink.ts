import type { UringProducer } from '@netchannel2/netchannel2';
import type { DomainId } from '@netchannel2/xen';
import type { RunSink } from './forwarding-run';
import type { LinkBlock } from './link-block';
import type { SentCounters } from './noted-pieces';
import type { ExactGrants } from './packet-grants';
import type { ParkedPackets } from './parked-packets';

/** What a peer takes, as it may say again at any time. */
interface FragmentLimit {
  readonly fragmentLimit: number;
}

/** Where runs of packets that are handed on to a link go: its ring, and its grants, if these can be exact. */
export class ForwardingSink implements RunSink {
  /** Whose packets are handed on. */
  private owner: DomainId | undefined;

  /**
   * @param reserve bytes of the ring that stay free. @param written packets were: they are to be shown to the peer.
   */
  constructor(
    private readonly producer: UringProducer,
    private readonly reserve: number,
    private readonly limit: FragmentLimit,
    private readonly exact: ExactGrants | undefined,
    private readonly counters: SentCounters,
    private readonly written: (packets: number) => void,
  ) {}

  get target(): number {
    return this.producer.nextWord << 2;
  }

  get room(): number {
    return this.producer.adjacentBytes(this.reserve);
  }

  get fragments(): number {
    return this.limit.fragmentLimit;
  }

  get block(): number {
    return this.exact?.runBlock ?? 0;
  }

  get list(): number {
    return this.exact?.runList ?? 0;
  }

  open(block: LinkBlock, owner: DomainId, most: number, parts: number): number {
    this.owner = owner;
    return this.exact?.openRun(block, owner, most, parts) ?? 0;
  }

  close(
    block: LinkBlock,
    parked: ParkedPackets,
    packets: number,
    pieces: number,
    written: number,
    bytes: number,
  ): void {
    if (this.owner !== undefined) this.exact?.closeRun(block, parked, this.owner, pieces);
    this.owner = undefined;
    this.producer.commit(written);
    const { counters } = this;
    counters.framesSent += packets;
    counters.bytesSent += bytes;
    if (packets > 0) this.written(packets);
  }
}
