import type { ForwardingRoute, ForwardingTarget } from '@netchannel2/xen';
import type { PortRecord } from './bridge-port';
import type { BurstClock } from './burst-clock';
import type { MacTable } from './mac-table';

/** The way from one port of a bridge to another, for packets between two addresses. One object for each port. */
export class ForwardingWay implements ForwardingRoute {
  private to: PortRecord | undefined;
  private port: ForwardingTarget | undefined;
  /** Of the table, and the time, when the way was found. */
  private version = 0;
  private time = 0;

  constructor(
    private readonly from: PortRecord,
    private readonly table: MacTable,
    private readonly clock: BurstClock,
  ) {}

  /** @returns this way, `undefined` where `to` cannot be handed packets in grants. */
  lead(to: PortRecord | undefined): ForwardingWay | undefined {
    this.to = to;
    this.port = to?.target;
    this.version = this.table.version;
    this.time = this.clock.now();
    return this.port === undefined ? undefined : this;
  }

  get target(): ForwardingTarget {
    if (this.port === undefined) throw new Error('a way is asked for its target only while it holds');
    return this.port;
  }

  get holds(): boolean {
    return this.port !== undefined && this.version === this.table.version && this.time === this.clock.now();
  }

  handedOn(packets: number, bytes: number): void {
    const { from, to } = this;
    from.framesIn += packets;
    from.bytesIn += bytes;
    from.forwarded += packets;
    if (to === undefined) return;
    to.framesOut += packets;
    to.bytesOut += bytes;
  }
}
