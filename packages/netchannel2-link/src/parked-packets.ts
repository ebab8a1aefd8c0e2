import type { DomainId, GrantedFrameHold } from '@netchannel2/xen';
import type { RunOrigin } from './forwarded-packets';

/** A packet whose FINISH waits for others: whoever reaches its bytes holds a share. */
export class ParkedPacket implements GrantedFrameHold {
  id = 0;
  holders = 0;
  obtained = false;
  gone = false;

  constructor(private readonly ended: (packet: ParkedPacket) => void) {}

  release(obtained: boolean): void {
    if (this.holders === 0) throw new Error('a held packet was released more often than it was held');
    this.holders -= 1;
    if (obtained) this.obtained = true;
    if (this.holders === 0) this.ended(this);
  }
}

/** What becomes of packets that others held. */
export interface ParkedPacketsEnd {
  finished(id: number, obtained: boolean): void;
  /** As {@link finished}, for the first `count` of `ids`. */
  runFinished(ids: Int32Array, obtained: Uint8Array, count: number): void;
}

/** The peer's packets that others hold: one by one, in objects that are kept for the next packet, or runs of them. */
export class ParkedPackets implements RunOrigin {
  private readonly idle: ParkedPacket[] = [];
  private readonly all: ParkedPacket[] = [];
  private ended = false;

  /** @param ending told when nobody holds a packet any more. */
  constructor(
    readonly owner: DomainId,
    private readonly ending: ParkedPacketsEnd,
  ) {}

  get gone(): boolean {
    return this.ended;
  }

  finishRun(ids: Int32Array, obtained: Uint8Array, count: number): void {
    if (!this.ended) this.ending.runFinished(ids, obtained, count);
  }

  /** Parks packet `id` with one holder. */
  park(id: number): ParkedPacket {
    const packet = this.idle.pop() ?? this.create();
    packet.id = id;
    packet.holders = 1;
    packet.obtained = false;
    return packet;
  }

  /** The peer's device has gone; whoever still holds a packet finds out. */
  end(): void {
    this.ended = true;
    for (const packet of this.all) packet.gone = true;
  }

  private create(): ParkedPacket {
    const packet = new ParkedPacket((parked) => this.release(parked));
    this.all.push(packet);
    return packet;
  }

  private release(packet: ParkedPacket): void {
    if (this.ended) return;
    this.idle.push(packet);
    this.ending.finished(packet.id, packet.obtained);
  }
}
